"""Made-up documents for the fault tests, and the moves that change them.

A world is a list of moves; the state after each move says what a workspace must hold, so that what
is found after a fault can be checked to the last document.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

State = Mapping[str, str]
"""Text by key: a file's name, or ``document:`` and the id of what was handed in."""

WORDS = """
amber anchor apple autumn baker basket beacon berry bishop bottle branch bridge bronze butter
candle canyon carpet castle cellar cherry circle cloud copper coral cotton cradle crystal desert
dragon eagle ember engine falcon feather fence ferry fiddle finger flame flower forest fountain
garden ginger glacier glass granite hammer harbor harvest helmet hollow honey island ivory jacket
jungle kettle kitchen ladder lantern lemon linen lizard magnet maple marble market meadow mirror
monkey mountain museum needle oak ocean olive orange orchard otter oyster paddle palace parrot
pebble pepper piano pillow pirate planet pocket pottery prairie pumpkin puzzle quarry rabbit raven
ribbon river rocket saddle salmon sandal scarlet shadow shelter shovel silver spider spring
squirrel statue stone summer sunset table temple thunder timber tomato tower tractor turtle valley
velvet village violin walnut whale whistle willow window winter wizard yellow zebra
"""
VOCABULARY = WORDS.split()


@dataclass(frozen=True)
class Move:
    """One thing that an application does to its workspace, and the state that it leads to."""

    kind: Literal["folder", "documents", "remove"]
    keys: tuple[str, ...]
    """What is handed in or removed; of no meaning for a folder."""
    after: State


@dataclass(frozen=True)
class Story:
    """A document without a name: each paragraph has a version, and a term that nothing else has."""

    number: int
    versions: tuple[int, ...]

    def text(self) -> str:
        paragraphs = [
            _paragraph(self.number, place, version) for place, version in enumerate(self.versions)
        ]
        return "\n\n".join([f"# Story {self.number}", *paragraphs]) + "\n"


def own_term(number: int, place: int, version: int) -> str:
    """Letters alone, so that the analyzer neither splits nor stems it."""
    value = (number * 16 + place) * 64 + version
    letters = ""
    for _ in range(6):
        value, digit = divmod(value, 20)
        letters += "bcdfghjklmnpqrstvwxz"[digit]
    return f"zq{letters}q"


def own_terms(text: str) -> list[str]:
    """The terms of a story's text that nothing else has, one for each paragraph."""
    return [word for word in text.split() if word.startswith("zq")]


@cache
def _paragraph(number: int, place: int, version: int) -> str:
    draw = random.Random(f"{number} {place} {version}")
    words = [draw.choice(VOCABULARY) for _ in range(110)]
    words[3] = own_term(number, place, version)
    sentences = [" ".join(words[start : start + 11]) for start in range(0, len(words), 11)]
    return " ".join(sentence.capitalize() + "." for sentence in sentences)


@cache
def moves(*, files: int, rounds: int, seed: int = 1) -> list[Move]:
    """New, changed, renamed and deleted files, documents handed in and removed, in ``rounds``.

    A round changes, adds and deletes about a sixth of the files and renames one; a document is
    handed in, changed or removed after each.
    """
    draw = random.Random(seed)
    made = iter(range(1_000_000))
    state: dict[str, Story] = {}

    def new_story() -> Story:
        return Story(next(made), (0,) * draw.choice((1, 1, 3)))

    def edited(story: Story) -> Story:
        versions = list(story.versions)
        versions[draw.randrange(len(versions))] += 1
        return Story(story.number, tuple(versions))

    def finished(kind: Literal["folder", "documents", "remove"], *keys: str) -> Move:
        return Move(kind, keys, {key: story.text() for key, story in state.items()})

    def add(count: int) -> None:
        for _ in range(count):
            story = new_story()
            state[f"story{story.number}.md"] = story

    share = max(1, files // 6)
    add(files)
    found = [finished("folder")]
    for turn in range(rounds):
        names = draw.sample(sorted(key for key in state if key.endswith(".md")), 2 * share + 1)
        for name in names[:share]:
            state[name] = edited(state[name])
        for name in names[share : 2 * share]:
            del state[name]
        state[f"renamed{turn}.md"] = state.pop(names[-1])
        add(share)
        found.append(finished("folder"))
        handed_in = sorted(key for key in state if key.startswith("document:"))
        match turn % 3:
            case 0:
                keys = [f"document:{turn}-{i}" for i in range(3)]
                state.update({key: new_story() for key in keys})
                found.append(finished("documents", *keys))
            case 1:
                state[handed_in[0]] = edited(state[handed_in[0]])
                found.append(finished("documents", handed_in[0]))
            case 2:
                del state[handed_in[-1]]
                found.append(finished("remove", handed_in[-1]))
    return found


def write_folder(folder: Path, state: State) -> None:
    """Make the folder hold exactly the state's files."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {key: text for key, text in state.items() if not key.startswith("document:")}
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
