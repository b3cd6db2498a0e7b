"""Model files that would run code, write files or bring the framework down: refused, before the framework sees them."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_models import needs

from driftc.codegen.errors import ModelError
from driftc.codegen.frontends import archives, load_model
from driftc.codegen.frontends.isolated import Reader
from driftc.codegen.frontends.keras import config
from driftc.codegen.frontends.torch import archive

KERAS, TORCH, ONNX = needs("tensorflow", "keras"), needs("torch", "torch"), needs("onnx", "onnx")
ALLOWED = "ccollections\nOrderedDict\n)R."


class Program:
    """What a pickle of this runs when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.call, (["touch", str(self.marker)],)


# --- PyTorch ---


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = import_module("torch")
    path = tmp_path_factory.mktemp("torch") / "net.pt2"
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(32, 3))
    torch.export.save(torch.export.export(model.eval(), (torch.zeros(1, 1, 6, 6),)), path)
    return path


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes], more: dict[str, bytes]) -> Path:
    """The archive with members changed and added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, content in more.items():
            new.writestr(name, content)
    return target


def nested(content: bytes) -> bytes:
    """A pickle as torch.save wraps it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as saved:
        saved.writestr("archive/data.pkl", content)
        saved.writestr("archive/version", b"3\n")
    return made.getvalue()


@TORCH
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("protocol", [2, 4])
def test_pickle_among_the_sample_inputs(wrapped: bool, protocol: int, exported: Path, tmp_path: Path) -> None:
    """It ran before the model was refused: torch tries all of pickle where tensors alone fail."""
    marker = tmp_path / "ran"
    content = pickle.dumps(Program(marker), protocol)
    poison = nested(content) if wrapped else content
    path = rewritten(exported, tmp_path / "net.pt2", lambda n, data: poison if n.endswith("model.pt") else data, {})
    with pytest.raises(ModelError, match=r"net\.pt2: .*sample_inputs/model\.pt'.* is (a pickle|unpickled)"):
        load_model(path)
    assert not marker.exists()
    load_model(exported)


@TORCH
def test_pickle_that_the_check_does_not_see(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch itself is told to unpickle tensors alone."""
    frontend = import_module("driftc.codegen.frontends.torch.load")
    monkeypatch.setattr(frontend, "check", lambda path, title: None)
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")
    marker = tmp_path / "ran"
    poison = nested(pickle.dumps(Program(marker), 2))
    path = rewritten(exported, tmp_path / "net.pt2", lambda n, data: poison if n.endswith("model.pt") else data, {})
    with pytest.raises(ModelError, match=r"torch\.export cannot read it"):
        frontend.load(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("member", "content", "said"),
    [
        ("net/data/constants/opaque_obj_0", b"", "holds a pickled object"),
        ("net/data/constants/custom_obj_0", b"", "holds a pickled object"),
        ("net/data/aotinductor/model/a.so", b"", "holds machine code"),
        ("net/data/weights/a_config.json", b"[", "is damaged"),
        ("net/data/weights/a_config.json", b"[1]", "is damaged"),
        ("serialized_state_dict.pt", b"\x80\x04.", "is a pickle"),
        ("serialized_state_dict.pt", nested(ALLOWED.encode()[:8]), "is damaged"),
        ("serialized_state_dict.pt", nested(b"cos\nsystem\n."), "calls 'os system'"),
        (
            "serialized_state_dict.pt",
            nested(b"\x80\x04\x8c\x02os\x8c\x06system\x93."),
            "calls 'what STACK_GLOBAL",
        ),
        ("serialized_state_dict.pt", nested(b"ctorch\nhub.load\n."), "calls 'torch hub.load'"),
    ],
)
def test_members_of_a_pt2(member: str, content: bytes, said: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as made:
        made.writestr(member, content)
    with pytest.raises(ModelError, match=rf"^net\.pt2: .*{said}"):
        archive.check(tmp_path / "net.pt2", "net.pt2")


def test_pickle_that_the_configuration_names(tmp_path: Path) -> None:
    listed = {"config": {"w": {"path_name": "weight_0", "use_pickle": True}}}
    for content, refused in ((nested(ALLOWED.encode()), False), (nested(b"cos\nsystem\n."), True)):
        with zipfile.ZipFile(tmp_path / "net.pt2", "w") as made:
            made.writestr("net/data/weights/model_weights_config.json", json.dumps(listed))
            made.writestr("net/data/weights/weight_0", content)
        if refused:
            with pytest.raises(ModelError, match="calls 'os system'"):
                archive.check(tmp_path / "net.pt2", "net.pt2")
        else:
            archive.check(tmp_path / "net.pt2", "net.pt2")


def test_archives_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("config.json", b" " * (1 << 20))
    monkeypatch.setattr(archives, "LARGEST", 1 << 19)
    with pytest.raises(ModelError, match=r"net\.keras: 1 members unpack to 1048576 bytes; driftc reads up to"):
        archives.opened(path, path.name)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as made:
        for content in (b"a", b"b"):
            made.writestr("net/data/sample_inputs/model.pt", content)
    with pytest.raises(ModelError, match="two members of one name"):
        archive.check(tmp_path / "net.pt2", "net.pt2")


# --- Keras ---


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"class_name": "Lambda", "module": "keras.layers", "config": {}}, "holds a Lambda, which is code"),
        ({"class_name": "__lambda__", "config": {"value": "4w=="}}, "holds a lambda, which is code"),
        ({"class_name": "TFSMLayer", "module": "keras.layers", "config": {"filepath": "/"}}, "holds a TFSMLayer"),
        ({"class_name": "system", "module": "os", "config": "true"}, "holds a 'os.system', which is no part of Keras"),
    ],
)
def test_code_in_keras_files(layer: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Keras has its own guards, of which some came late."""
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as made:
        model = {"class_name": "Sequential", "module": "keras", "config": {"layers": [{"config": {"layer": layer}}]}}
        made.writestr("config.json", json.dumps(model))
    with pytest.raises(ModelError, match=rf"^net\.keras: {said}"):
        config.check(tmp_path / "net.keras", "net.keras")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a":' * 300 + "1" + "}" * 300, "9" * 5000])
def test_damaged_configuration(text: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as made:
        made.writestr("config.json", text)
    with pytest.raises(ModelError, match=r"^net\.keras: its configuration is (damaged|nested deeper)"):
        config.check(tmp_path / "net.keras", "net.keras")


@KERAS
@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_model_that_was_never_built(tmp_path: Path) -> None:
    keras = import_module("tensorflow").keras
    keras.Sequential([keras.layers.Dense(3)]).save(tmp_path / "net.keras")
    with pytest.raises(ModelError, match=r"^net\.keras: was stored before its input shape was known: .*keras\.Input"):
        load_model(tmp_path / "net.keras")


# --- SavedModel ---


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[tuple[Any, Callable[..., Path]]]:
    """TensorFlow, and what stores a module with a function of it."""
    tf = import_module("tensorflow")

    def save(module: Any, function: Callable[[Any], Any]) -> Path:
        module.serve = tf.function(function, input_signature=[tf.TensorSpec([1, 4], tf.float32)])
        tf.saved_model.save(module, str(tmp_path / "net"), signatures={"serving_default": module.serve})
        return tmp_path / "net"

    yield tf, save
    shutil.rmtree(tmp_path / "net", ignore_errors=True)


@KERAS
def test_file_written_beside_the_result(saved: tuple[Any, Callable[..., Path]], tmp_path: Path) -> None:
    tf, save = saved
    marker = tmp_path / "written"
    weights = tf.constant(np.eye(4, dtype=np.float32))

    def serve(x: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(marker), "x")]):
            return tf.linalg.matmul(x, tf.identity(weights))

    path = save(tf.Module(), serve)
    with pytest.raises(ModelError, match=r"^net: operation WriteFile \('.*'\) reads or writes outside the model"):
        load_model(path)
    assert not marker.exists()


@KERAS
def test_file_written_by_the_initializer(saved: tuple[Any, Callable[..., Path]], tmp_path: Path) -> None:
    """A table's initializer runs while the model is loaded."""
    tf, save = saved
    marker = tmp_path / "written"

    base: Any = tf.lookup.KeyValueTensorInitializer

    class Writes(base):  # type: ignore[misc]
        def initialize(self, table: Any) -> Any:
            with tf.control_dependencies([tf.io.write_file(str(marker), "x")]):
                return super().initialize(table)

    module = tf.Module()
    keys, values = tf.constant([1], tf.int64), tf.constant([2.0])
    module.table = tf.lookup.StaticHashTable(Writes(keys, values), 0.0)

    def serve(x: Any) -> Any:
        return x + module.table.lookup(keys)

    path = save(module, serve)
    marker.unlink(missing_ok=True)
    with pytest.raises(ModelError, match=r"^net: operation WriteFile \('.*'\) reads or writes outside the model"):
        load_model(path)
    assert not marker.exists()


@KERAS
def test_python_in_a_saved_model(saved: tuple[Any, Callable[..., Path]]) -> None:
    tf, save = saved
    path = save(tf.Module(), lambda x: tf.ensure_shape(tf.numpy_function(np.abs, [x], tf.float32), [1, 4]))
    with pytest.raises(ModelError, match=r"^net: operation (Eager)?PyFunc.* reads or writes outside the model"):
        load_model(path)


@KERAS
@pytest.mark.parametrize("content", [b"", b"\x08", b"\xff" * 40])
def test_damaged_saved_model(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "saved_model.pb").write_bytes(content)
    with pytest.raises(ModelError, match=r"^net: (saved_model\.pb is damaged|TensorFlow cannot read it)"):
        load_model(tmp_path / "net")


# --- the process ---


@ONNX
def test_library_that_aborts(tmp_path: Path) -> None:
    """onnx infers the shapes of such pads into an assertion of its own, which ended driftc."""
    onnx = import_module("onnx")
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    wild = [0, 4294967296, 4294967296, 0, 0, 4294967296, -8718968874294312960, 1891161]
    integers = {"pads": wild, "starts": [0, 0], "ends": [5, 5], "axes": [2, 3]}
    graph = helper.make_graph(
        [helper.make_node("Pad", ["x", "pads"], ["p"]), helper.make_node("Slice", ["p", *list(integers)[1:]], ["o"])],
        "g",
        [helper.make_tensor_value_info("x", real, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("o", real, [1, 2, 5, 5])],
        [helper.make_tensor(name, onnx.TensorProto.INT64, [len(v)], v) for name, v in integers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    for _ in range(2):  # the next model is read by a new process
        with pytest.raises(ModelError, match=r"^net\.onnx: (onnx crashed while it read the file: signal SIGABRT|)"):
            load_model(tmp_path / "net.onnx")


def reader_of(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """A child whose frontend is `text`."""
    (folder / "strange_frontend.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return Reader("strange_frontend")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("time.sleep(60)", r"net\.x: strange_frontend has not read it within 3 s"),
        ("os._exit(3)", r"net\.x: strange_frontend crashed while it read the file: exit code 3"),
        ("os.kill(os.getpid(), 9)", r"crashed while it read the file: signal SIGKILL"),
        ("print('why', file=sys.stderr); os.abort()", r"crashed while it read the file: signal SIGABRT \(.*why"),
        ("raise KeyError('w')", r"net\.x: cannot be imported: KeyError at strange_frontend\.py:3: 'w'"),
        ("bytearray(1 << 40)", r"net\.x: takes more memory to read than the 16 GiB that driftc allows"),
        ("open('written', 'w').write('x' * 100_000)", r"net\.x: cannot be imported: OSError .*File too large"),
        ("print('on stdout'); raise RecursionError", r"net\.x: cannot be imported: RecursionError"),
    ],
)
def test_process_that_fails(body: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(tmp_path, f"import os, sys, time\ndef load(path, name, title):\n    {body}\n", monkeypatch)
    monkeypatch.chdir(tmp_path)
    try:
        with pytest.raises(ModelError, match=said):
            reader.read("strange_frontend", Path("net.x"), None, "net.x", timeout=3 if "sleep" in body else 60)
    finally:
        reader.close()
