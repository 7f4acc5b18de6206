"""No socket is opened by import, index, search, context, ask, with the default settings."""

import subprocess
import sys
import textwrap

CODE = """
import socket

def refuse(*arguments, **keywords):
    raise AssertionError(f"a connection was tried: {arguments[1:]}")

for name in ("connect", "connect_ex", "bind", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = refuse

from ctxeng import Document, Engine, load

with open("leave.md", "w") as file:
    file.write("# Leave\\n\\nEvery parent may take 20 weeks of parental leave.\\n")
with Engine.open("workspace") as engine:
    assert engine.index("leave.md", wait=True).added == 1
    engine.index(Document(id="note", text="The canteen opens at eight."))
    assert engine.search("parental leave")
    assert engine.context("parental leave").sources
    assert engine.ask("How many weeks of parental leave are there?").found
    engine.status(), engine.doctor(), engine.reindex(), engine.remove("note")
from ctxeng.cli.app import run
assert run(["ask", "How many weeks of parental leave?", "--workspace", "workspace"]) == 0
print("done")
"""


def test_the_main_job_opens_no_connection(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CODE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("done\n")
