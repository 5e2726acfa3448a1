# SPDX-License-Identifier: MIT
"""Weights files of real Python torch against our reader: the good ones load bit by bit, the bad
ones change nothing.

    formats.py --tool PROGRAM [table | written | memory | hostile]

Without a group all of them run. Exit code 77: torch is not installed.
"""

import argparse
import collections
import contextlib
import io
import itertools
import json
import pathlib
import pickle
import random
import struct
import sys
import unittest
import zipfile

try:
    import torch
except ImportError as error:
    print(f"SKIPPED, NOTHING WAS COMPARED: {sys.executable}: {error}.\n"
          "These tests need torch; on Debian: apt-get install python3-torch", file=sys.stderr)
    sys.exit(77)

from tool_process import run_tests

TOOL = None


def keys(net):
    """Names, shapes and dtypes of one of our networks."""
    TOOL.ask("keys", net, "keys.txt")
    for line in (TOOL.folder / "keys.txt").read_text().splitlines():
        name, rest = line.split(" ", 1)
        shape, dtype = rest.rsplit(" ", 1)
        yield name, json.loads(shape), getattr(torch, dtype)


def state_dict(net, dtype, seed):
    """Random values in all the layouts in memory that tensors have."""
    generator = torch.Generator().manual_seed(seed)
    everything = list(keys(net))
    # Every third tensor is a part of one large one.
    sizes = [torch.Size(shape).numel() for _, shape, _ in everything]
    flat = torch.randn(sum(sizes), generator=generator).to(dtype)
    state, begin = collections.OrderedDict(), 0
    for i, ((name, shape, kind), size) in enumerate(zip(everything, sizes)):
        if kind == torch.int64:
            value = torch.tensor(1000 + i)
        elif i % 3 == 0:
            value = flat[begin:begin + size].view(shape)
        else:
            value = torch.randn(shape, generator=generator).to(dtype)
            if value.dim() == 4:
                value = value.contiguous(memory_format=torch.channels_last)
            elif value.dim() == 2:
                value = value.t().contiguous().t()
        begin += size
        state[name] = value
    return state


# ----------------------------------------------------------------------------------------- formats

def save_zip(state, path):
    torch.save(state, path)


def save_zip_14_digits(state, path):
    """torch.save, but for the storages' names, which are those of torch 1.4 to 1.6."""
    storages = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not torch.is_storage(value):
                return None
            untyped = getattr(value, "_untyped_storage", None) or value._storage
            key = str(94041623000000 + untyped._cdata % 10**9)
            storages[key] = untyped
            kind = torch.storage._dtype_to_storage_type_map()[value.dtype]
            return "storage", getattr(torch, kind), key, "cpu", value.size()

    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(state)
    writer = torch._C.PyTorchFileWriter(str(path))
    writer.write_record("data.pkl", stream.getvalue(), len(stream.getvalue()))
    for key, storage in storages.items():
        writer.write_record(f"data/{key}", storage.data_ptr(), storage.nbytes())
    writer.write_end_of_file()


def save_legacy(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)


def safetensors_bytes(state):
    names = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16",
             torch.bfloat16: "BF16", torch.int64: "I64"}
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, value in state.items():
        data = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": names[value.dtype], "shape": list(value.shape),
                        "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def save_safetensors(state, path):
    path.write_bytes(safetensors_bytes(flat_names(state)))


def flat_names(value, name=""):
    """The tensors of nested dicts, by the way to them."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    found = {}
    for key, item in value.items() if isinstance(value, dict) else ():
        found |= flat_names(item, f"{name}.{key}" if name else key)
    return found


def load_safetensors(path):
    """By the format's description, and strictly."""
    data = path.read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    dtypes = {"F32": torch.float32, "I64": torch.int64}
    state, end = collections.OrderedDict(), 0
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        begin, after = tensor["data_offsets"]
        if begin != end:
            raise ValueError(f"{name} leaves a gap")
        flat = torch.frombuffer(bytearray(body[begin:after]), dtype=dtypes[tensor["dtype"]])
        state[name], end = flat.reshape(tensor["shape"]), after
    if end != len(body) or size % 8 != 0:
        raise ValueError("there is more than the header says, or it is not aligned")
    return state


class Node(torch.nn.Module):
    def forward(self):
        return 0


def module_of(state):
    """A module that has just these parameters and buffers."""
    root = Node()
    for name, value in flat_names(state).items():
        node = root
        *parents, last = name.split(".")
        for parent in parents:
            if parent not in node._modules:
                node.add_module(parent, Node())
            node = node._modules[parent]
        if value.is_floating_point() and last in ("weight", "bias"):
            node.register_parameter(last, torch.nn.Parameter(value))
        else:
            node.register_buffer(last, value)
    return root


def save_torchscript(state, path):
    torch.jit.save(torch.jit.script(module_of(state)), path)


FORMATS = {"zip": save_zip, "zip_14_digits": save_zip_14_digits, "legacy": save_legacy,
           "safetensors": save_safetensors, "torchscript": save_torchscript}
SAYS = {"zip": "torch.save (zip)", "zip_14_digits": "torch.save (zip)",
        "legacy": "torch.save (legacy)", "safetensors": "safetensors",
        "torchscript": "TorchScript"}
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def wrapped(key):
    """As training scripts write them, with what is none of our business."""
    return lambda state: {
        key: state, "epoch": 3, "lr": 0.1,
        "optimizer": {"state": {0: {"step": torch.tensor(7.), "exp_avg": torch.ones(3)}},
                      "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1]}]}}


WRAPPERS = {"": lambda state: state} | {key: wrapped(key) for key in
                                        ("model", "state_dict", "model_ema")}


def put_before(prefix):
    return lambda state: collections.OrderedDict((prefix + k, v) for k, v in state.items())


def without_features(prefix):
    return lambda state: collections.OrderedDict(
        (prefix + k.removeprefix("features."), v) for k, v in state.items()
        if k.startswith("features."))


def lraspp(state):
    return without_features("backbone.")(state) | {
        "classifier.cbr.0.weight": torch.ones(2), "classifier.low_classifier.bias": torch.ones(1)}


# name -> (what becomes of a state dict, the prefix that is to be found, our network)
PREFIXES = {
    "plain": (put_before(""), "", "tiny"),
    "module.": (put_before("module."), "module.", "tiny"),
    "backbone.": (put_before("backbone."), "backbone.", "tiny_encoder"),
    "module.backbone.": (put_before("module.backbone."), "module.backbone.", "tiny_encoder"),
    "lraspp": (lraspp, "backbone.", "tiny_encoder"),
    "detection": (without_features("backbone.body."), "backbone.body.", "tiny_encoder"),
}


class Attempt:
    """What our reader made of a file."""

    def __init__(self, net, path):
        TOOL.ask("attempt", net, path, "report.txt", "after.pth")
        lines = (TOOL.folder / "report.txt").read_text(errors="replace").splitlines()
        self.changed, self.seconds = lines[0] == "1", float(lines[1])
        self.kilobytes, self.found = int(lines[2]), "\n".join(lines[3:])

    def state(self):
        return torch.load(TOOL.folder / "after.pth")


class Table(unittest.TestCase):
    def test_every_combination(self):
        count = 0
        for dtype, (prefix, (rename, found, net)) in itertools.product(DTYPES, PREFIXES.items()):
            state = state_dict("tiny", dtype, seed=count)
            for (format, save), (wrapper, wrap) in itertools.product(FORMATS.items(),
                                                                     WRAPPERS.items()):
                if format == "torchscript" and wrapper == "state_dict":
                    continue  # no module can have a child of that name
                title = f"{format} {dtype} {wrapper or 'bare'} {prefix}"
                with self.subTest(title):
                    path = TOOL.folder / "some.file"
                    save(wrap(rename(state)), path)
                    if format == "zip_14_digits":
                        self.same(flat_names(torch.load(path)), flat_names(wrap(rename(state))))
                    attempt = Attempt(net, path)
                    self.assertTrue(attempt.found.startswith("loaded: "), attempt.found)
                    self.assertIn(SAYS[format], attempt.found)
                    self.assertIn(f'prefix "{wrapper + "." if wrapper else ""}{found}"',
                                  attempt.found)
                    ours = attempt.state()
                    theirs = {k: v.to(torch.float32) if v.is_floating_point() else v
                              for k, v in state.items() if k in ours}
                    self.assertEqual(len(ours), len(list(keys(net))))
                    self.same(ours, theirs)
                    count += 1
        print(f"{count} combinations of {len(FORMATS)} formats, {len(DTYPES)} dtypes, "
              f"{len(WRAPPERS)} wrappers, {len(PREFIXES)} prefixes; torch {torch.__version__}")
        self.assertEqual(count, (len(FORMATS) * len(WRAPPERS) - 1) * len(DTYPES) * len(PREFIXES))

    def same(self, ours, theirs):
        self.assertEqual(list(ours), list(theirs))
        for name, value in theirs.items():
            self.assertTrue(torch.equal(ours[name], value), name)
            self.assertEqual(ours[name].dtype, value.dtype)


class Written(unittest.TestCase):
    """What we write, Python loads with strict=True."""

    def test_both_formats(self):
        for net in "tiny", "large":
            TOOL.ask("init", net, 7, "ours.pth")
            TOOL.ask("init", net, 7, "ours.safetensors")
            pth = torch.load(TOOL.folder / "ours.pth")
            self.assertEqual(list(pth), [name for name, _, _ in keys(net)])
            path = TOOL.folder / "ours.safetensors"
            readers = [load_safetensors]
            with contextlib.suppress(ImportError):
                from safetensors.torch import load_file
                readers.append(load_file)
            for read in readers:
                module = module_of({name: torch.zeros_like(value) for name, value in pth.items()})
                module.load_state_dict(read(path), strict=True)
                for name, value in module.state_dict().items():
                    self.assertTrue(torch.equal(value, pth[name]), name)
                    self.assertEqual(value.dtype, pth[name].dtype)
            print(f"{net}: {len(pth)} tensors written and read by {len(readers)} readers of Python")


class Memory(unittest.TestCase):
    """Loading needs, beside the network, what is loaded once more, and one storage of the file.

    All new values are there before the first old one goes: a disk that fails changes nothing.
    """

    def test_no_more_than_once_more(self):
        for dtype, format in itertools.product((torch.float32, torch.float64), FORMATS):
            with self.subTest(f"{format} {dtype}"):
                state = {k: v.clone() for k, v in state_dict("large", dtype, seed=1).items()}
                path = TOOL.folder / "large.file"
                FORMATS[format](state, path)
                attempt = Attempt("large", path)
                self.assertTrue(attempt.found.startswith("loaded: "), attempt.found)
                largest = max(v.numel() * v.element_size() for v in state.values())
                network = sum(v.numel() * (8 if v.dtype == torch.int64 else 4)
                              for v in state.values())
                print(f"{format} {dtype}: {attempt.kilobytes / 1024:.1f} MB; the largest storage "
                      f"has {largest / 2**20:.1f} MB, the file {path.stat().st_size / 2**20:.1f} MB")
                names_and_buffers = 4 * 2**20  # and code that is touched for the first time
                self.assertLess(attempt.kilobytes * 1024, network + largest + names_and_buffers)


# ------------------------------------------------------------------------------------ hostile files

def le(number, size):
    return (number & (1 << 8 * size) - 1).to_bytes(size, "little")


def text(value):
    return b"X" + le(len(value), 4) + value.encode()


def with_frame(body):
    return b"\x80\x02" + body + b"."


def tensor(key="0", numel=6, offset=b"K\x00", shape=b"K\x06\x85", strides=b"K\x01\x85",
           kind="FloatStorage"):
    """The opcodes of one tensor."""
    numel = b"\x8a\x08" + le(numel, 8)
    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu")
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + numel + b"tQ" + offset + shape +
            strides + b"\x89NtR")


def named(name, value):
    return b"}" + text(name) + value + b"s"


def zip_of(records, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in records:
            archive.writestr(name, data)
    return stream.getvalue()


def pth_of(body, storage=bytes(24), compression=zipfile.ZIP_STORED):
    return zip_of([("a/data.pkl", with_frame(body)), ("a/data/0", storage)], compression)


def long(value):
    return b"\x8a\x08" + le(value, 8)


def zip_boundaries(data):
    """Where a header, a name, a record or a directory begins or ends."""
    found = {0, len(data)}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            begin = info.header_offset + 30 + len(info.filename)
            extra = struct.unpack_from("<H", data, info.header_offset + 28)[0]
            found |= {info.header_offset, info.header_offset + 30, begin, begin + extra,
                      begin + extra + info.file_size}
    for signature in b"PK\1\2", b"PK\6\6", b"PK\6\7", b"PK\5\6":
        at = data.find(signature, archive.start_dir)
        while at >= 0:
            found |= {at, at + 4}
            at = data.find(signature, at + 1)
    return sorted(found)


def legacy_boundaries(data):
    stream, found = io.BytesIO(data), {0, len(data)}
    for _ in range(5):
        Finder(stream).load()
        found.add(stream.tell())
    at = stream.tell()
    while at < len(data):
        found |= {at, at + 8}
        numel = struct.unpack_from("<q", data, at)[0]
        at += 8 + 4 * numel if numel > 1 else 8 + 8 * numel
        found.add(min(at, len(data)))
    return sorted(found)


class Finder(pickle._Unpickler):
    """Reads a pickle to its end without making any tensor."""

    def persistent_load(self, key):
        return key

    def find_class(self, module, name):
        return collections.OrderedDict if name == "OrderedDict" else lambda *arguments: None


def safetensors_boundaries(data):
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + size])
    places = [p for name, t in header.items() if name != "__metadata__" for p in t["data_offsets"]]
    return sorted({0, 7, 8, 9, 8 + size - 1, *(8 + size + p for p in places)})


def damaged(state):
    """(title, bytes) of files that torch wrote and something has happened to."""
    path = TOOL.folder / "good.file"
    for name, save in FORMATS.items():
        save(state, path)
        data = path.read_bytes()
        if name == "safetensors":
            cuts = safetensors_boundaries(data)
        elif name == "legacy":
            cuts = legacy_boundaries(data)
        else:
            cuts = zip_boundaries(data)
        for cut in cuts:
            for end in {cut - 1, cut, cut + 1}:
                if 0 <= end < len(data):
                    yield f"{name} cut at {end} of {len(data)}", data[:end]
        if name in ("zip", "torchscript"):
            yield from flipped(name, data)
    yield "an empty file", b""


def flipped(name, data):
    """One bit changed where it matters: in a pickle, a value, a number of the directory."""
    random.seed(name)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = [i for i in archive.infolist() if "/data" in i.filename and i.file_size > 0]
        start = archive.start_dir
        pickled = next(i for i in infos if i.filename.endswith("data.pkl"))
    for info in [pickled] * 40 + random.choices(infos, k=60):
        name_size, extra = struct.unpack_from("<HH", data, info.header_offset + 26)
        begin = info.header_offset + 30 + name_size + extra
        at = random.randrange(begin, begin + info.file_size)
        yield f"{name} bit in {info.filename}", flip(data, at)
    for info in infos:
        # method, check sum, sizes, length of the name, position
        for field in 10, 16, 20, 24, 28, 42:
            yield (f"{name} directory of {info.filename}, field {field}",
                   flip(data, data.index(info.filename.encode(), start) - 46 + field))


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1:]


def bombs():
    """(title, bytes) of files that were made to deceive."""
    touch = f"cposix\nsystem\n({text('touch executed').decode('latin1')}tR".encode("latin1")
    yield "calls os.system", pth_of(touch)
    yield "calls os.system in a value", pth_of(named("w", touch))
    yield "builds an object", pth_of(
        b"cbuiltins\neval\n(" + text("1/0") + b"tR}" + text("a") + b"K\1sb")
    yield "calls builtins through getattr", pth_of(
        b"cbuiltins\ngetattr\n(cbuiltins\ndict\n" + text("get") + b"tR(" + text("a") + b"tR")
    yield "a list in itself", pth_of(b"]q\1h\1a")
    yield "a dict in itself", pth_of(b"}q\1" + text("a") + b"h\1s")
    yield "a tuple in a list in it", pth_of(b"]q\1h\1\x85a")
    yield "lists 100000 deep", pth_of(b"]" * 100000 + b"a" * 99999)
    yield "tuples 100000 deep", pth_of(b")" + b"\x85" * 100000)
    yield "dicts 1000 deep", pth_of(
        b"}" + (text("a") + b"}") * 1000 + text("a") + b"K\1" + b"s" * 1001)
    doubled = tensor()
    for _ in range(50):
        doubled = b"](" + doubled + b"2e"
    yield "2^50 tensors", pth_of(doubled)
    yield "a million lists", pth_of(b"(" + b"]" * 1000000 + b"l")
    yield "a million memos", pth_of(b"N" + b"\x94" * 1000000)
    yield "a million marks", pth_of(b"(" * 1000000)
    yield "ten million references", pth_of(b"]q\1(" + b"h\1" * 10000000 + b"e")
    yield "a name of 30 MB", pth_of(named("x" * 30000000, tensor()))
    yield "a long name many times", pth_of(
        b"](" + named("x" * 100000, tensor()) + b"q\1" + b"h\1" * 1000 + b"e")
    yield "70000 tensors", pth_of(b"](" + tensor() + b"q\1" + b"h\1" * 70000 + b"e")
    for title, opcode in (("text", b"X"), ("bytes", b"B"), ("string", b"T")):
        yield f"{title} of 4 GB", pth_of(opcode + b"\xff\xff\xff\xff")
    yield "bytes of 2^63", pth_of(b"\x8e" + b"\xff" * 7 + b"\x7f")
    yield "a frame of 2^63", pth_of(b"\x95" + b"\xff" * 7 + b"\x7f")
    yield "a number of 2 GB", pth_of(b"\x8b\xff\xff\xff\x7f")
    huge = 2**62
    for title, arguments in {
            "too many elements": dict(shape=long(huge) + b"\x85"),
            "too many elements by stride 0": dict(shape=long(huge) + b"\x85", strides=b"K\x00\x85"),
            "a negative size": dict(shape=long(-1) + b"\x85"),
            "a negative stride": dict(strides=long(-1) + b"\x85"),
            "a negative offset": dict(offset=long(-1)),
            "an offset after the end": dict(offset=b"K\1"),
            "an offset that overflows": dict(offset=long(2**63 - 1)),
            "a stride that overflows": dict(strides=long(2**61) + b"\x85"),
            "sizes whose product overflows": dict(shape=long(2**32) + long(2**32) + b"\x86",
                                                  strides=b"K\x00K\x00\x86"),
            "a rank of 65": dict(shape=b"(" + b"K\1" * 65 + b"t",
                                 strides=b"(" + b"K\1" * 65 + b"t"),
            "another rank of strides": dict(strides=b"K\1K\1\x86"),
            "a storage of 2^62": dict(numel=huge),
            "a storage of more than the file": dict(numel=10**9),
            "a storage of less than nothing": dict(numel=-1),
            "a storage that is not there": dict(key="7"),
            "a storage with a path": dict(key="../../etc/passwd"),
            "a dtype that torch lacks": dict(kind="FloatStorag"),
            "complex numbers": dict(kind="ComplexFloatStorage"),
    }.items():
        yield title, pth_of(named("features.0.0.weight", tensor(**arguments)))
    yield "two sizes of a storage", pth_of(b"](" + tensor() + tensor(numel=5) + b"e")
    yield "a tensor of a tensor", pth_of(
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + tensor() + b"K\0))tR")
    yield "a parameter of itself", pth_of(b"]q\1ctorch._utils\n_rebuild_parameter\n(h\1tRa")
    for opcode in b"iogpPSIFLV\x82\x83\x84\x97\x98":
        yield f"opcode {opcode:#x}", pth_of(bytes([opcode]) + b"a\nb\n")

    # Archives.
    good = [("a/data.pkl", with_frame(named("w", tensor()))), ("a/data/0", bytes(24))]
    yield "two folders", zip_of(good + [("b/data.pkl", b"x")])
    yield "no folder", zip_of([("data.pkl", b"x")])
    yield "no pickle", zip_of([("a/data/0", b"x")])
    for name in "/data.pkl", "../data.pkl", "a/../data.pkl", "C:/data.pkl":
        yield f"a record '{name}'", zip_of(good + [(name, b"x")])
    for at, value, title in ((8, 1, "encrypted"), (8, 64, "strongly encrypted"), (10, 12, "bzip2"),
                             (10, 99, "AES"), (34, 1, "on another disk")):
        yield title, patch(zip_of(good), at, value)
    yield "a symbolic link", patch(patch(zip_of(good), 5, 3), 41, 0xa1)
    yield "values of 128 MB in 128 kB", zip_of([good[0], ("a/data/0", bytes(2**27))],
                                               zipfile.ZIP_DEFLATED)
    yield "a pickle of 128 MB in 128 kB", pth_of(b"N0" * 2**26, compression=zipfile.ZIP_DEFLATED)
    overlapping = zip_of(good)
    first = overlapping.index(b"PK\1\2")
    second = overlapping.index(b"PK\1\2", first + 1)
    yield "overlapping records", (overlapping[:second + 42] + overlapping[first + 42:first + 46] +
                                  overlapping[second + 46:])
    same = zip_of(good + [("a/datA/0", bytes(24))])
    yield "two records of one name", same.replace(b"a/datA/0", b"a/data/0")
    yield "an archive after an archive", zip_of(good) + zip_of(good)
    yield "an archive after a program", b"PK\3\4" + bytes(1000) + zip_of(good)
    end = zip_of(good).index(b"PK\5\6")
    for field, size in ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)):
        for value in 1, 0x7fff, -1:
            data = zip_of(good)
            yield (f"field {field} of the end is {value}",
                   data[:end + field] + le(value, size) + data[end + field + size:])

    # Legacy files.
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
    start = magic + with_frame(b"M\xe9\3") + with_frame(b"}")
    storage = le(6, 8) + bytes(24)
    keys_0 = with_frame(b"]" + text("0") + b"a")
    value = with_frame(named("w", tensor()))
    yield "legacy: another magic number", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x18." + start
    yield "legacy: another version", magic + with_frame(b"M\xea\3") + value + keys_0 + storage
    yield "legacy: big-endian", (magic + with_frame(b"M\xe9\3") + with_frame(
        b"}" + text("little_endian") + b"\x89s") + value + keys_0 + storage)
    yield "legacy: no keys", start + value + with_frame(b"]") + storage
    yield "legacy: keys that are no list", start + value + with_frame(b"K\1") + storage
    yield "legacy: unknown key", start + value + with_frame(b"]" + text("1") + b"a") + storage
    yield "legacy: a key twice", (start + value + with_frame(b"](" + text("0") * 2 + b"e") +
                                  storage * 2)
    for numel in 5, 7, -1, 2**62:
        yield f"legacy: {numel} elements", start + value + keys_0 + le(numel, 8) + bytes(24)
    yield "legacy: a view that overflows", start + with_frame(named("w", tensor().replace(
        b"tQ", b"(" + text("v") + long(2**63 - 1) + b"K\1ttQ"))) + keys_0 + storage
    yield "legacy: a pickle without end", start + b"\x80\x02" + b"N0" * 10**7

    # safetensors.
    def header(value, body=b""):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return le(len(data), 8) + data + body

    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    for title, change in {
            "another size": {"shape": [3]}, "a size that overflows": {"shape": [2**32, 2**32]},
            "a size of 2^63": {"shape": [2**63]}, "a negative size": {"shape": [-2]},
            "a size that is no integer": {"shape": [2.0]}, "a shape of text": {"shape": "2"},
            "a rank of 1000": {"shape": [1] * 1000}, "a dtype that nobody knows": {"dtype": "F33"},
            "an end before the beginning": {"data_offsets": [8, 0]},
            "an end after the file": {"data_offsets": [0, 16]},
            "a negative beginning": {"data_offsets": [-8, 0]},
            "one offset": {"data_offsets": [0]},
            "offsets beyond 2^64": {"data_offsets": [0, 2**65]},
            "a gap": {"data_offsets": [4, 12]}, "one more field": {"code": "x"},
    }.items():
        yield f"safetensors: {title}", header({"w": entry | change}, bytes(8))
    yield "safetensors: two tensors in one place", header({"a": entry, "b": entry}, bytes(8))
    yield "safetensors: more than its tensors", header({"w": entry}, bytes(9))
    yield "safetensors: a name twice", header(
        f'{{"w":{json.dumps(entry)},"w":{json.dumps(entry)}}}'.encode(), bytes(8))
    yield "safetensors: a field twice", header(
        b'{"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8))
    yield "safetensors: nothing in it", header({})
    yield "safetensors: only metadata", header({"__metadata__": {"a": "b"}})
    yield "safetensors: metadata that is no text", header({"__metadata__": {"a": {}}, "w": entry},
                                                          bytes(8))
    for cut in (b'{"w', b'{"w":', b'{"w":{', b'{"w":{}', b'{"\\', b'{"\\u12', b'{"\\ud800"',
                b'{"w":[[[['):
        yield f"safetensors: {cut}", header(cut)
    yield "safetensors: a million brackets", header(b'{"w":' + b"[" * 1000000)
    for size in 100_000_001, 2**31, 2**32 - 1:
        yield f"safetensors: a header of {size}", le(size, 8) + b"{}"
    many = {f"t{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(70000)}
    yield "safetensors: 70000 tensors", header(many)

    # What is no weights file at all.
    for title, data in {"HTML": b"<!DOCTYPE html>", "gzip": b"\x1f\x8b\x08" + bytes(20),
                        "a pickle": pickle.dumps({"a": 1}),
                        "noise": random.Random(1).randbytes(5000),
                        "LFS": b"version https://git-lfs.github.com/spec/v1\n",
                        "zeros": bytes(10000), "PK": b"PK", "an empty archive": zip_of([])}.items():
        yield title, data


def patch(data, at, value):
    """The first record's header in the directory with one byte changed."""
    at += data.index(b"PK\1\2")
    return data[:at] + bytes([value]) + data[at + 1:]


class Hostile(unittest.TestCase):
    def test_each_is_refused_and_changes_nothing(self):
        state = state_dict("tiny", torch.float32, seed=1)
        count, slowest, largest = 0, (0, ""), (0, "")
        for title, data in itertools.chain(damaged(state), bombs()):
            path = TOOL.folder / "hostile.file"
            path.write_bytes(data)
            with self.subTest(title):
                attempt = Attempt("tiny", path)
                self.assertIn(str(path), attempt.found)
                self.assertFalse(attempt.found.startswith("loaded"), attempt.found)
                self.assertFalse(attempt.changed, "the network has changed")
                self.assertLess(attempt.seconds, 1)
                growth = attempt.kilobytes - len(data) / 1024
                self.assertLess(growth, 64 * 1024)
                slowest = max(slowest, (attempt.seconds, title))
                largest = max(largest, (growth, title))
                count += 1
        self.assertFalse((TOOL.folder / "executed").exists())
        self.assertGreater(count, 300)
        print(f"{count} hostile or damaged files refused; the slowest in {slowest[0]:.2f} s "
              f"({slowest[1]}); the most memory above the file's size {largest[0] / 1024:.0f} MB "
              f"({largest[1]})")


GROUPS = {"table": Table, "written": Written, "memory": Memory, "hostile": Hostile}


def use_tool(tool):
    global TOOL
    TOOL = tool


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=pathlib.Path)
    parser.add_argument("group", nargs="?", choices=list(GROUPS))
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    groups = [GROUPS[arguments.group]] if arguments.group else GROUPS.values()
    run_tests(groups, arguments.tool, use_tool)


if __name__ == "__main__":
    main()
