"""What does the simulated register answer over HTTP? The question that the platform asks, and /sim/ to steer it."""

import asyncio
import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.register_simulator.people import (
    Mode,
    SimulatedPerson,
    SimulatedRegister,
    SimulatorInputError,
    person_from,
    script_from,
)

FIND_PATH: Final = "/v1/people/find"
BODY_BYTES_MAX: Final = 3_145_728


def application(register: SimulatedRegister, *, token: str = "") -> Starlette:
    """Return the pages; with a token, whoever asks for people must bear it."""

    async def find(request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return JSONResponse({"error": "token"}, status_code=401)
        question = await _body(request)
        register.questions += 1
        return await _answered(register, question)

    async def show(_request: Request) -> Response:
        return JSONResponse(
            {"people": len(register), "questions": register.questions, "mode": register.script.mode.value}
        )

    async def steer(request: Request) -> Response:
        register.script = script_from(await _body(request))
        return JSONResponse({"mode": register.script.mode.value, "delay_ms": register.script.delay_ms})

    async def put(request: Request) -> Response:
        register.put(person_from(await _body(request), folder=None))
        return JSONResponse({"people": len(register)})

    return Starlette(
        routes=[
            Route(FIND_PATH, find, methods=["POST"]),
            Route("/sim/state", show),
            Route("/sim/script", steer, methods=["PUT"]),
            Route("/sim/people", put, methods=["POST"]),
        ],
        exception_handlers={SimulatorInputError: _refused, ClientDisconnect: _gone},
    )


async def _answered(register: SimulatedRegister, question: Mapping[str, Any]) -> Response:
    script = register.script
    if script.mode is Mode.SLOW:
        await asyncio.sleep(script.delay_ms / 1000)
    if script.mode is Mode.DOWN:
        return JSONResponse({"error": "down"}, status_code=503)
    person, guardian = _asked_for(register, question)
    if person is not None and script.mode is Mode.OTHER_PERSON:
        person = register.somebody_but(person)
    told: dict[str, Any] = (
        {"agrees": False} if person is None else _told(person, with_face=question.get("with_face") is True)
    )
    if guardian is not None:
        told["guardian"] = guardian
    text = json.dumps(told, ensure_ascii=False)
    if script.mode is Mode.GARBLED:
        text = text[: len(text) // 2]
    return Response(text, media_type="application/json")


def _asked_for(
    register: SimulatedRegister, question: Mapping[str, Any]
) -> tuple[SimulatedPerson | None, dict[str, str] | None]:
    """Return who is asked for, nobody when a guardian is named and is not theirs; and the guardian that was named."""
    person = register.find(id_number=str(question.get("id_number")), name=str(question.get("name")))
    named = question.get("guardian")
    if named is None:
        return person, None
    if not isinstance(named, dict):
        raise SimulatorInputError("a guardian has id_number and name")
    guardian = {key: str(named.get(key)) for key in ("id_number", "name")}
    is_theirs = person is not None and register.is_guardian(person, **guardian)
    return (person if is_theirs else None), guardian


def _told(person: SimulatedPerson, *, with_face: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id_number": person.id_number,
        "name": person.name,
        "born": person.born,
        "region": person.region,
        "former_id_numbers": list(person.former_id_numbers),
    }
    if with_face and person.portrait is not None:
        told["portrait_jpeg"] = base64.b64encode(person.portrait).decode()
    return {"agrees": True, "person": told}


async def _body(request: Request) -> Mapping[str, Any]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise SimulatorInputError("too large")
    try:
        found = json.loads(body)
    except ValueError as error:
        raise SimulatorInputError("no JSON") from error
    if not isinstance(found, dict):
        raise SimulatorInputError("no JSON object")
    return found


async def _refused(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)
