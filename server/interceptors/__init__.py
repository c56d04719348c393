"""The layers around every call, outermost first: request id, metrics, errors, identity, limits, validation.

An id comes first so that every line and answer has it. Metrics stand outside of errors, to see the status the caller
sees. Identity stands before limits, because what is limited is the terminal, and validation comes last, so that only
those who may call make us parse. gRPC has read a unary request by then: what bounds that is the size of a message and
the connection's own limits in `listeners.py`.
"""

from server.interceptors.chain import Chain, Layer, Method
from server.interceptors.errors import ErrorLayer
from server.interceptors.identity import IdentityLayer
from server.interceptors.limits import LimitLayer
from server.interceptors.metrics import MetricsLayer
from server.interceptors.request_id import RequestIdLayer
from server.interceptors.validation import ValidationLayer

__all__ = [
    "Chain",
    "ErrorLayer",
    "IdentityLayer",
    "Layer",
    "LimitLayer",
    "Method",
    "MetricsLayer",
    "RequestIdLayer",
    "ValidationLayer",
]
