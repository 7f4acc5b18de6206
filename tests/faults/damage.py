"""What can happen to a file between two processes."""

import random


def cut_to(share):
    def damage(path):
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return damage


def flip(path, count=20):
    data = bytearray(path.read_bytes())
    draw = random.Random(path.suffix)
    for place in draw.sample(range(len(data)), min(count, len(data))):
        data[place] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def delete(path):
    path.unlink()


DAMAGES = {
    "emptied": cut_to(0),
    "cut to half": cut_to(0.5),
    "cut to 99 %": cut_to(0.99),
    "20 bits flipped": flip,
    "deleted": delete,
}
