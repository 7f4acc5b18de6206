"""Questions in languages that no embedder of ours knows."""

import pytest

from ctxeng import Document, Engine, Settings

SPANISH = [
    "El permiso parental es de 20 semanas y se paga por completo.",
    "La oficina de Porto cierra los viernes a las 15:00.",
    "Las facturas se envían a finanzas antes del día 5 de cada mes.",
]
CHINESE = ["产假为二十周，全薪。", "办公室每周五下午三点关闭。", "发票须在每月五日前寄给财务部。"]


@pytest.fixture(scope="module")
def engines():
    with (
        Engine.open(":memory:", settings=Settings()) as spanish,
        Engine.open(":memory:", settings=Settings()) as chinese,
    ):
        for engine, texts in ((spanish, SPANISH), (chinese, CHINESE)):
            engine.index([Document(id=str(n), text=t) for n, t in enumerate(texts)], wait=True)
        yield {"es": spanish, "zh": chinese}


@pytest.mark.parametrize(
    ("language", "question", "said"),
    [
        ("es", "¿Cuándo cierra la oficina de Porto?", "15:00"),
        ("es", "¿A quién se envían las facturas?", "finanzas"),
        ("zh", "办公室什么时候关闭？", "三点"),
        ("zh", "发票寄给谁？", "财务部"),
    ],
)
def test_what_is_there_is_found(engines, language, question, said):
    answer = engines[language].ask(question)
    assert answer.found
    assert said in answer.text


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("es", "¿Quién ganó la copa del mundo de 1998?"),
        ("es", "¿Cuál es la contraseña del wifi?"),
        ("zh", "谁赢得了1998年世界杯？"),
        ("zh", "无线网络密码是什么？"),
    ],
)
def test_what_is_not_there_is_not_found(engines, language, question):
    assert not engines[language].ask(question).found
