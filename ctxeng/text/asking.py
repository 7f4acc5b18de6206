"""The words of a question that only ask, in the languages that many workspaces hold."""

from __future__ import annotations

import regex

_ASKING = regex.compile(
    r"""
    \b(?:how\ (?:many|much|long|often|far|old|big|large|tall|fast|soon)
      | what\ (?:kind|sort|type)s?\ of
      | (?:please\ )?(?:tell\ me(?:\ about)?|explain|describe|give\ me)
      | (?:what|which|who|whose|whom|when|where|why|how)(?:['’](?:s|re))?
    )\b
    | (?:^|¿)\W{0,3}  # in other languages where they begin the question: some are words elsewhere
      (?:(?:a|à|al|an|auf|aus|avec|bei|con|da|dans|de|depuis|desde|di|em|en|hasta|in|mit|para|per|por
        |pour|seit|um|von|zu)\ )?
      (?:qué|quién(?:es)?|cuándo|cuánt[oa]s?|dónde|cuál(?:es)?|cómo
        | o\ que|quem|quando|onde|como|quant[oaie]s?|qual|quais
        | qu(?:i|e|oi|and|elle?s?|els?)|où|comment|pourquoi|combien|qu['’]est-ce\ que
        | che\ cosa|chi|dove|come|perché|quale|quali
        | wer|wen|wem|wessen|was|wann|wo|wohin|woher|warum|wieso|welche[mnrs]?
        | wie(?:\ (?:viele?|lange|oft|weit|hoch|groß|alt))?
      )\b
    | 什么时候|什么|为什么|为何|哪[里儿些个位年种]?|谁|有?多[少长久大远高]
    | 几(?=[个年月天岁次名位种])|怎么样?|如何|是否|请问|[吗呢](?=\W*$)
    | いつ|どこ|誰|だれ|なぜ|どのように|どの|どんな|いくつ|いくら|何(?=[がをのにで年月日人])
    | \b(?:क्या|कौन|किस|कब|कहाँ|कितन[ाेी]|कैसे|क्यों)\b
    | อะไร|ใคร|เมื่อไร|เมื่อใด|ที่ไหน|อย่างไร|ทำไม|เท่าไร
    """,
    regex.VERBOSE | regex.IGNORECASE,
)
_ASKS_FOR_NUMBER = regex.compile(
    r"""
    \b(?:how\ (?:many|much|long|old|far|often|tall|big|large|high|fast|soon)|when
      | (?:what|which)\ (?:year|date|time|day|month|percentage|number|age|price)
      | cuánt[oa]s?|cuándo|en\ qué\ (?:año|fecha)|combien|quand|quant[oaie]s?|quando
      | wann|wie\ (?:viele?|lange|oft|weit|hoch|groß|alt)
    )\b
    | 什么时候|哪一?年|多[少长久大远高]|几[个年月天岁次名位种] | いつ|いくつ|いくら|何[年月日人]
    """,
    regex.VERBOSE | regex.IGNORECASE,
)
_FUNCTION_WORDS = frozenset(
    """must shall might get got al au aux che con da das de dei del della dem den der des di do
    du ein eine einer el em en es et fue fur gli ist il im la las le les lo los na ne os
    para par pas per por pour que qui se su sur um un una uma une und vom von zu zum zur""".split()  # noqa: SIM905
)
"""Terms that are function words of Spanish, French, German, Italian and Portuguese; most of English
are no terms at all.
"""


def without_asking(question: str) -> str:
    """The question without its question words."""
    return _ASKING.sub(" ", question)


def asks_for_number(question: str) -> bool:
    """Whether the answer is a number, an amount or a date."""
    return _ASKS_FOR_NUMBER.search(question) is not None


def is_function_word(term: str) -> bool:
    return term in _FUNCTION_WORDS
