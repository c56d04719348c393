"""How what goes wrong is answered: the rows of each room, the next action, and the sentence for the cashier.

`server/errors.py` lays the rows together into the one table.
"""

from server.answers.answer import DOMAIN, Answer, NextAction, Reply, reply_from

__all__ = ["DOMAIN", "Answer", "NextAction", "Reply", "reply_from"]
