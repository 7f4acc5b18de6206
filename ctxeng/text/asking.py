"""The words of a question that only ask, in the languages that many workspaces hold."""

from __future__ import annotations

from functools import cache

import regex

from ctxeng.text.terms import terms

_ASKING = regex.compile(
    r"""
    \b(?:how\ (?:many|much|long|often|far|old|big|large|tall|fast|soon)
      | what\ (?:(?:kind|sort|type)s?\ of|happen(?:s|ed)|if)
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
    | \b(?:кто|кого|кому|что|чего|когда|где|куда|откуда|почему|зачем|сколько|как(?:ой|ая|ое|ие|ого
        |ую|им|их|ом)?|чей|котор(?:ый|ая|ое|ые)
        |ποι(?:ος|α|ο|οι|ες|ον|ου|ων|ους)|τι|πότε|πού|γιατί|πώς|πόσ(?:ο|α|οι|ες|ος|η|ων)
        |م(?:ن|ا|اذا|تى)|أين|كم|كيف|لماذا|هل|أي(?:ة)?
        |누(?:가|구(?:의|를|에게)?)|무엇(?:을|이|입니까)?|무슨|언제|어디(?:에|서|에서)?|왜|어떻게|얼마나|어느|어떤|몇
        |hvem|hvad|hvornår|wanneer|waarom|hoeveel
        |(?:nasıl|neden|niçin|nerede|kaç|hangi|ne\ zaman)
        |(?:khi\ nào|bao\ nhiêu|như\ thế\ nào|tại\ sao|ở\ đâu)
        |(?:kiedy|gdzie|dlaczego|kto)
        |(?:unde|când|câ(?:t|ți|te|tă))
      )\b
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
    | \b(?:когда|сколько|πότε|πόσ(?:ο|α|οι|ες|ος|η)|متى|كم|언제|몇)\b
    """,
    regex.VERBOSE | regex.IGNORECASE,
)
_ASKS_FOR_NAME = regex.compile(
    r"\b(?:who|whom|whose|quién(?:es)?|wer|wem|wen|wessen|quem|кто|кем|кому)\b|^\W*(?:qui|chi)\b",
    regex.IGNORECASE,
)
_FUNCTION_WORDS = """
    must shall might get got al au aux che con da das de dei del della dem den der des di do
    du ein eine einer el em en es et fue fur gli ist il im la las le les lo los na ne os
    para par pas per por pour que qui se su sur um un una uma une und vom von zu zum zur
    в во и на с со по из для от до не к о об у за был была было были это
    ο η το οι τα του της των τον την στο στη στην και να με για από που είναι ήταν
    في من على إلى عن التي الذي هو هي كان كانت
"""
"""Of Spanish, French, German, Italian, Portuguese, Russian, Greek and Arabic; most of English are
no terms at all.
"""


def without_asking(question: str) -> str:
    """The question without its question words."""
    return _ASKING.sub(" ", question)


def asks_for_number(question: str) -> bool:
    """Whether the answer is a number, an amount or a date."""
    return _ASKS_FOR_NUMBER.search(question) is not None


def asks_for_name(question: str) -> bool:
    """Whether the answer is somebody."""
    return _ASKS_FOR_NAME.search(question) is not None


def is_function_word(term: str) -> bool:
    return term in _function_terms()


@cache
def _function_terms() -> frozenset[str]:
    return frozenset(terms(_FUNCTION_WORDS))
