"""Containers made by hand: ZIP packages, OLE compound files, PDF."""

import io
import struct
import zipfile
import zlib

SECTOR = 512
FREE, END, FAT_SECTOR = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def zipped(parts, *, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in parts.items():
            moment = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            moment.compress_type = method
            archive.writestr(moment, content)
    return file.getvalue()


def ole(streams):
    """A compound file. Keys are paths (``a/b``); every stream is padded past the mini stream."""
    names = [()]
    for path in streams:
        parts = tuple(path.split("/"))
        names += [parts[:n] for n in range(1, len(parts) + 1) if parts[:n] not in names]
    bodies = {
        tuple(path.split("/")): content.ljust(4_096, b"\0") for path, content in streams.items()
    }
    sectors = {name: -(-len(body) // SECTOR) for name, body in bodies.items()}
    in_directory = -(-len(names) * 128 // SECTOR)
    in_table = -(-(in_directory + sum(sectors.values())) // (SECTOR // 4 - 1))
    fat = [FAT_SECTOR] * in_table + _chain(in_table, in_directory)
    starts, data = {}, b""
    for name, body in bodies.items():
        starts[name] = len(fat)
        fat += _chain(len(fat), sectors[name])
        data += body.ljust(sectors[name] * SECTOR, b"\0")
    fat += [FREE] * (in_table * SECTOR // 4 - len(fat))
    header = struct.pack(
        "<8s16xHHHHH6xIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        0x3E, 3, 0xFFFE, 9, 6, 0, in_table, in_table, 0, 4_096, END, 0, END, 0,
    )  # fmt: skip
    header += struct.pack("<109I", *range(in_table), *[FREE] * (109 - in_table))
    table = struct.pack(f"<{len(fat)}I", *fat)
    entries = b"".join(_entry(name, names, bodies, starts) for name in names)
    return header + table + entries.ljust(in_directory * SECTOR, b"\0") + data


def _chain(start, count):
    return [start + n + 1 for n in range(count - 1)] + [END]


def _entry(name, names, bodies, starts):
    shown = (name[-1] if name else "Root Entry").encode("utf-16-le")
    kind = 5 if not name else 2 if name in bodies else 1
    children = [n for n in names if n[:-1] == name and n != ()]
    siblings = [n for n in names if name and n[:-1] == name[:-1] and n != ()]
    later = siblings[siblings.index(name) + 1 :] if name else []
    return struct.pack(
        "<64sHBBIII16xIQQIQ",
        shown, len(shown) + 2, kind, 1, FREE,
        names.index(later[0]) if later else FREE,
        names.index(children[0]) if children else FREE,
        0, 0, 0, starts.get(name, END), len(bodies.get(name, b"")),
    )  # fmt: skip


def pdf(*pages, extra=b"", info=b""):
    """Each page is the content of its stream."""
    count = len(pages)
    kids = b" ".join(b"%d 0 R" % (4 + 2 * n) for n in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [" + kids + b"] /Count %d >>" % count,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, content in enumerate(pages):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * number)
        )
        packed = zlib.compress(content)
        objects.append(
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(packed)
            + packed
            + b"\nendstream"
        )
    trailer = extra
    if info:
        objects.append(info)
        trailer += b" /Info %d 0 R" % len(objects)
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    head = b"trailer\n<< /Size %d /Root 1 0 R%s >>\n" % (size, trailer)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % size + table
    return out + table + head + b"startxref\n%d\n%%%%EOF" % len(out)


def shown_at(*lines):
    """A page's content: (x, y, text) each."""
    return b"".join(b"BT /F1 12 Tf %d %d Td (%s) Tj ET\n" % line for line in lines)
