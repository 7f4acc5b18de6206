"""The words by which a question leans on what was said before it: data, a row a language.

Only words that hardly ever do anything else, and that are no frequent word of another language:
Spanish ``lo`` is an article too, German ``er`` Danish for "is", Italian ``o`` an
article in Portuguese.
Languages that leave out what is meant (Chinese, Japanese, Thai) often lean without any such word.
"""

from __future__ import annotations

from dataclasses import dataclass

import regex


@dataclass(frozen=True, slots=True)
class Words:
    """Regular expressions of one language; those of scripts without spaces say where they end."""

    joins: str
    """Opens a question that goes on, or stands before what does: ``and``."""
    opens: str
    """Opens one that goes on without asking: ``what about``."""
    points: str
    """Points back: ``it``."""


SPACED = {
    "en": Words(
        joins="and|but|or|also|plus",
        opens="what about|how about|what if|what else|why not",
        points=r"""
            it|its|itself|they|them|their|theirs|he|him|his|she|her|hers|those|these|such
            |ones|(?:which|this|that|the|another|other|last|next|\w+er)\ one|one(?=\W*$)
            |this(?!\ (?:year|quarter|month|week|morning|evening)\b)
            |the\ (?:same|former|latter|above)
            |the\ (?:first|second|last|others?)(?=\W*$|\W*\ (?:one|is|was|are|were|or|and|than)\b)
            |instead|otherwise|else
            |(?<!\b(?:is|are|was|were)\ )there(?!\ (?:is|are|was|were|any|an?)\b)
            |(?:is|are|was|does|do|did|of|about|for|with|from|to|like|on|in|by|after|before|than|why
              |how|would|will|can|could|mean)\ that
            |that(?=\W*$)""",
    ),
    "de": Words(
        joins="und|aber|oder",
        opens="was ist mit|wie (?:ist|sieht) es (?:mit|bei|in)|was noch|wieso nicht|warum nicht",
        points=r"""
            ihn|ihm|(?-i:ihnen|ihre[mnrs]?|sie(?=\W*$))|(?:das|es)(?=\W*$)
            |diese[mnrs]?(?!\ (?:jahr|quartal|monat|woche))|jene[mnrs]?|letztere[mnrs]?|dort|dorthin
            |derselben?|dasselbe|dieselben?|stattdessen|ansonsten
            |da(?:für|von|rüber|rauf|ran|rin|raus|durch|gegen|zu|bei|nach|mit)""",
    ),
    "fr": Words(
        joins="et|mais",
        opens="qu['’]en est-il|pourquoi pas|quoi d['’]autre",
        points=r"""
            ça|cela|ceci|celui|celle|ceux|celles|elles?|ils|eux|leurs?|lequel|laquelle|lesquel(?:le)?s
            |qui\ (?:l['’]\w+|le|la|les|lui|en|y)|là-bas""",
    ),
    "es": Words(
        joins="y(?! a-t)|pero",
        opens="qué (?:hay de|pasa con|más)|por qué no",
        points=r"""
            él|ella|ellos|ellas|ello|es[ao]s?|ese|est[ao]s|esto|aquel(?:l[ao]s?)?|allí|ahí
            |suy[ao]s?|dich[ao]s?
            |(?:quién(?:es)?|cuándo|cómo|dónde|por\ qué)\ (?:no\ )?(?:lo|le|les|se\ l[aeo]s?)""",
    ),
    "it": Words(
        joins="e|ma(?= (?:a|con|in|non|per|se)\\b)",
        opens="che ne (?:è|dici) d\\w+|perché no|cos['’]altro",
        points=r"""
            quest[aeio](?!\ (?:mese|settimana|trimestre))|quell[aeio]|quel|quei|ess[aei]|lui|ciò|lì
            |suo|suoi
            |chi\ (?:lo|la|li|le|ne|ci)""",
    ),
    "pt": Words(
        joins="e|mas",
        opens="e quanto (?:aos?|às?)|por que não|o que mais",
        points=r"""
            [dn]?(?:isso|isto|el[ae]s?|ess[ae]s?)|[dn]?aqu(?:ilo|el[ae]s?)|lá""",
    ),
    "hi": Words(
        joins="और|लेकिन|मगर|या",
        opens="",
        points="""
            यह|वह|ये|वे|इसे|उसे|इन्हें|उन्हें|इसक[ाीे]|उसक[ाीे]|इनक[ाीे]|उनक[ाीे]|इसमें|उसमें|इससे|उससे|वहाँ|वहां""",
    ),
}
UNSPACED = {
    "zh": Words(
        joins="还有|另外|而且|但是?|那么",
        opens="",
        points="""
            它们?|(?<![其吉])他们?|她们?|[这那](?:个(?!月|星期|季度)|[些种样里])|前者|后者|上述
            |^(?!.*(?:什么|为何|谁|哪|几|多[少长久大远高]|怎|如何|是否|吗)).*呢(?=\\W*$)""",
    ),
    "ja": Words(
        joins="では|じゃあ?|でも|しかし|それなら|ちなみに|また[、,]|あと[、,は]",
        opens="",
        points="""
            それ(?!ぞれ)|その(?!他)|これ(?!から)|そこ|そちら|彼女?ら?(?=[はがをのにへと])|前者|後者""",
    ),
    "th": Words(
        joins="แล้ว|และ|แต่(?!ง|ละ)|หรือ",
        opens="",
        points="พวกเขา|พวกมัน|(?:เรื่อง|อัน|สิ่ง|แบบ|กรณี|อย่าง)(?:นี้|นั้น)|ที่นั่น|ล่ะ(?=\\W*$)",
    ),
}

_LEADS = "so|then|ok(?:ay)?"
"""Stand before a question that goes on, and before any other."""


def _any(*groups: str) -> str:
    return "|".join(group for group in groups if group)


def _spaced(part: str) -> str:
    """The languages' words of one kind, each followed by the end of a word."""
    return f"(?:{_any(*(getattr(words, part) for words in SPACED.values()))})"


_JOINS = (
    rf"(?:{_spaced('joins')}(?![\w\-'’])|{_any(*(words.joins for words in UNSPACED.values()))})"
)
OPENS = regex.compile(
    rf"^\W*(?:(?:{_JOINS}|(?:{_LEADS})\b)[\W_]*)*(?:{_spaced('opens')}(?!\w)|{_JOINS})",
    regex.IGNORECASE,
)
"""How a question begins that goes on."""
POINTS_BACK = regex.compile(
    rf"(?<!\w)(?:{_spaced('points')})(?!\w)|{_any(*(words.points for words in UNSPACED.values()))}",
    regex.VERBOSE | regex.IGNORECASE,
)
