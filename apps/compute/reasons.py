"""Root causes in plain words, each with what to do about it."""

from __future__ import annotations

from apps.compute.types import Observation, ReasonCode

_REMEDIES = {
    ReasonCode.EXIT_CODE: "Read the end of the log: the program says there what went wrong.",
    ReasonCode.OOM: "Give it more memory, or make it smaller: a shorter sequence, a smaller batch or model.",
    ReasonCode.DEADLINE: "Raise its time limit, or give it less to do.",
    ReasonCode.BINARY_MISSING: "Install the program (requirements/workers), or correct the command.",
    ReasonCode.IMAGE_MISSING: "Check the image's name and tag, and that the cluster may pull it.",
    ReasonCode.INTERRUPTED: "Nothing: interrupted work is taken up again by itself where it can be.",
    ReasonCode.WAITING_FOR_SLOT: "Wait, or stop something that runs.",
    ReasonCode.BACKEND_REFUSED: "Correct what the backend refused and submit again.",
    ReasonCode.BACKEND_UNREACHABLE: "It is asked again by itself; the health page shows what is wrong.",
    ReasonCode.NOT_READY: "Read its log; give it more time to start if it was still loading.",
}

_LEADS = {
    ReasonCode.EXIT_CODE: "The program failed.",
    ReasonCode.OOM: "It ran out of memory.",
    ReasonCode.DEADLINE: "It passed its time limit.",
    ReasonCode.BINARY_MISSING: "The program could not be found.",
    ReasonCode.IMAGE_MISSING: "The image could not be pulled.",
    ReasonCode.INTERRUPTED: "It was interrupted.",
    ReasonCode.NOT_READY: "It did not become ready in time.",
    ReasonCode.STOPPED: "It was stopped.",
}


def remedy_for(code: ReasonCode | str) -> str:
    """Return what a person can do about `code` ("" = nothing)."""
    return _REMEDIES.get(ReasonCode(code), "")


def explain(observation: Observation, code: ReasonCode) -> tuple[str, str]:
    """Return (reason, remedy) for what the backend reported, read as `code`."""
    lead = _LEADS.get(code, "")
    return " ".join(part for part in (lead, observation.message) if part), remedy_for(code)


def waiting_for_slot(position: int, waiting: int, slot_class: str, places: int) -> str:
    """Return the sentence for a workload that waits: where it stands and for what."""
    return f"Waiting for a slot: number {position} of {waiting}; {places} {slot_class} slot(s) are all in use."
