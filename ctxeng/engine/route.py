"""Where the answer to a question is looked for."""

from __future__ import annotations

from ctxeng.engine.wiring import Parts
from ctxeng.errors import BackendError, ConfigError
from ctxeng.trace import keep, stage
from ctxeng.types import Query, Route

DOCUMENTS = "documents"
"""The source that holds what was indexed."""
EVERYWHERE = Route(sources=(DOCUMENTS,))


async def route(parts: Parts, query: Query) -> Route:
    """What the router chooses; everywhere, where there is none or it failed.

    Raises:
        ConfigError: it chose a source that there is not.
    """
    if parts.router is None:
        return EVERYWHERE
    with stage("route") as facts:
        facts["router"] = parts.router.name
        try:
            chosen = await parts.router.route(query)
        except BackendError as error:
            chosen, facts["failed"] = EVERYWHERE, str(error)
        facts["sources"], facts["depth"] = [*chosen.sources], chosen.depth
        facts["scores"] = {**chosen.scores}
    if unknown := set(chosen.sources).difference(EVERYWHERE.sources):
        raise ConfigError(
            f"router {parts.router.name!r} chose {', '.join(sorted(unknown))}; the sources here "
            f"are {', '.join(EVERYWHERE.sources)}."
        )
    keep(route=chosen)
    return chosen
