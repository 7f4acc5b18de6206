"""The packages that Word, PowerPoint and Excel files are: parts that refer to parts (ECMA-376).

Elements are told by their local names, so that files in the strict form, whose namespaces differ,
are read alike.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lxml.etree import _Element


class Relation(NamedTuple):
    kind: str
    """The last word of its type: ``worksheet``, ``footnotes``."""
    part: str


class Package:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = {
            name.replace("\\", "/").lstrip("/").lower(): name for name in archive.namelist()
        }

    def has(self, part: str) -> bool:
        return part.lower() in self._names

    def open(self, part: str) -> IO[bytes]:
        return self._archive.open(self._names[part.lower()])

    def xml(self, part: str) -> _Element:
        return parsed(self._archive.read(self._names[part.lower()]))

    def main(self, default: str) -> str:
        """The part that all others are reached from."""
        return next(iter(self.parts("", "officeDocument")), default)

    def parts(self, part: str, *kinds: str) -> list[str]:
        """What a part refers to by relations of these kinds, as far as it is there."""
        found = [one.part for one in self.relations(part).values() if one.kind in kinds]
        return [one for one in dict.fromkeys(found) if self.has(one)]

    def relations(self, part: str) -> dict[str, Relation]:
        """By id; of the package itself where ``part`` is empty."""
        folder, name = posixpath.split(part)
        file = posixpath.join(folder, "_rels", f"{name}.rels")
        found: dict[str, Relation] = {}
        for one in self.xml(file).iter("{*}Relationship") if self.has(file) else ():
            target = one.get("Target", "")
            inside = posixpath.join("/" + folder, target)
            kind = one.get("Type", "").rsplit("/", 1)[-1]
            if one.get("TargetMode") != "External":
                found[one.get("Id", "")] = Relation(kind, posixpath.normpath(inside).lstrip("/"))
        return found

    def about(self) -> tuple[str, str]:
        """Title and author."""
        core = self.parts("", "core-properties")
        if not core:
            return "", ""
        found = self.xml(core[0])
        title, author = (
            next((element.text or "" for element in found.iter("{*}" + name)), "")
            for name in ("title", "creator")
        )
        return title, author


def parsed(data: bytes) -> _Element:
    """XML without entities, DTDs or network."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    return etree.fromstring(data, parser)


def each(file: IO[bytes], name: str) -> Iterator[_Element]:
    """The elements of that local name, one by one; what was passed is let go."""
    from lxml import etree

    for _, element in etree.iterparse(
        file, tag="{*}" + name, resolve_entities=False, no_network=True, huge_tree=True
    ):
        yield element
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]


def local(element: _Element) -> str:
    """The name without its namespace."""
    tag = element.tag
    return tag.rsplit("}", 1)[-1] if isinstance(tag, str) else ""


def reference(element: _Element, name: str = "id") -> str:
    """The id of a relation that an element names."""
    return next((str(v) for k, v in element.items() if str(k).endswith("}" + name)), "")
