# SPDX-License-Identifier: MIT
"""Files that ask for more work than they are worth: bombs.py --tool TOOL [--seconds 1.0]

Each family is a function of a size. The reader must be done with its files, refused or not, within
a second, and its time must grow no faster than the files do.
"""

import argparse
import io
import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile

TENSOR = (b"ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000"
          b"X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85\x89NtR")


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def put(index):
    return b"r" + struct.pack("<I", index)


def get(index):
    return b"h" + bytes([index]) if index < 256 else b"j" + struct.pack("<I", index)


def framed(body):
    return b"\x80\2" + body + b"."


def dag(n, leaf=b"]"):
    """Lists of two times the list before: 2**n paths."""
    return leaf + b"".join(b"\x940](" + get(i) + get(i) + b"e" for i in range(n))


FAMILIES = {
    # Values of no interest.
    "nones": lambda n: b"(" + b"N" * n + b"l",
    "small_integers": lambda n: b"(" + b"K\1" * n + b"l",
    "reals": lambda n: b"(" + b"G\x3f\xf0\0\0\0\0\0\0" * (n // 9) + b"l",
    "lists": lambda n: b"(" + b"]" * n + b"l",
    "objects": lambda n: b"ca\nb\nq\0)q\1(" + b"h\0h\1R" * (n // 5) + b"l",
    "nest_lists": lambda n: b"]" * n + b"a" * (n - 1),
    "nest_tuples": lambda n: b"N" + b"\x85" * n,
    "nest_tensor": lambda n: TENSOR + b"\x85" * n,
    "marks": lambda n: b"(" * n + b"1" * n + b"N",
    "dup": lambda n: b"](N" + b"2" * n + b"e",
    "keys_none": lambda n: b"}(" + b"NN" * (n // 2) + b"u",
    "keys_none_in_dag": lambda n: b"}(" + b"NN" * (n // 4) + b"u\x940(" + b"h\0" * (n // 4) + b"t",
    "keys_none_with_tensor": lambda n: b"}(" + b"NN" * (n // 4) + b"X\1\0\0\0w" + TENSOR
                             + b"u\x940(" + b"h\0" * (n // 4) + b"t",
    # Texts by memo.
    "long_class": lambda n: text(b"m" * (n // 2)) + b"X\1\0\0\0n\x93q\0)q\1(" +
                  b"h\0h\1R" * (n // 10) + b"l",
    "long_class_in_tensor": lambda n: b"(" + text(b"torch._utils") + text(b"_rebuild" + b"x" * (n // 2))
                            + b"\x93q\0)R" + b"h\0)R" * (n // 8) + b"l",
    "long_key": lambda n: text(b"k" * (n // 2)) + b"q\0(" + b"}h\0Ns" * (n // 10) + b"l",
    "long_key_of_tensors": lambda n: text(b"k" * (n // 2)) + b"q\0" + TENSOR + b"q\1(" +
                           b"}h\0h\1s" * (n // 12) + b"l",
    "key_of_4000": lambda n: text(b"k" * 4000) + b"q\0" + TENSOR + b"q\1(" +
                   b"}h\0h\1s" * (n // 6) + b"l",
    "long_storage_key": lambda n: b"(X\7\0\0\0storagectorch\nFloatStorage\n" + text(b"k" * (n // 2))
                        + b"X\3\0\0\0cpuK\4tq\0(" + b"h\0Q" * (n // 6) + b"l",
    "storages": lambda n: b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000"
                b"X\3\0\0\0cpuK\4tq\0(" + b"h\0Q" * (n // 3) + b"l",
    # Shared values.
    "dag": lambda n: dag(min(n // 10, 250)),
    "dag_of_tensors": lambda n: dag(min(n // 10, 250), TENSOR),
    "dag_shallow": lambda n: dag(16, b"(" + b"N" * n + b"l"),
    "cycle": lambda n: b"]q\0(" + b"h\0" * (n // 2) + b"e",
    "cycle_of_tensors": lambda n: b"]q\0(" + TENSOR + b"h\0" * (n // 2) + b"e",
    "same_tensor": lambda n: TENSOR + b"q\0(" + b"h\0" * (n // 2) + b"l",
    "wide_then_deep": lambda n: b"(" + b"N" * (n // 2) + TENSOR + b"lq\0(" + b"h\0" * (n // 4) + b"l",
    "parameters": lambda n: TENSOR + b"".join(
        b"q\0ctorch._utils\n_rebuild_parameter\nh\0\x85R" for _ in range(n // 40)),
    "from_type": lambda n: b"ctorch._tensor\n_rebuild_from_type_v2\nq\0(" * (n // 40) + b"N" +
                 b"t" * (n // 40) + b"Nh\0\x86R" if n < 400 else
                 b"ctorch._tensor\n_rebuild_from_type_v2\nq\0Nh\0NN\x87" +
                 b"q\1h\0Nh\1\x87" * (n // 8) + b"q\2(" + b"h\0h\2R" * (n // 10) + b"l",
    "attributes": lambda n: b"}(" + b"NN" * (n // 4) + b"uq\0" +
                  b"ctorch._tensor\n_rebuild_from_type_v2\nq\1NN)h\0tq\2(" +
                  b"h\1h\2R" * (n // 10) + b"l",
    "ordered_dict_copies": lambda n: b"ccollections\nOrderedDict\nq\0(" + b"NN\x86" * (n // 6) +
                           b"l\x85q\1(" + b"h\0h\1R" * (n // 10) + b"l",
    "arguments": lambda n: b"ctorch\nf\nq\0(" + b"N" * (n // 2) + b"tq\1(" +
                 b"h\0h\1R" * (n // 10) + b"l",
    # Memo.
    "memo_far": lambda n: b"N" + put(n) + b"N" * n,
    "memo_collisions": lambda n: b"N" + b"".join(put(i * 4099 % n) for i in range(n // 5)),
    "memoize": lambda n: b"N" + b"\x94" * n,
    # Keys of dicts.
    "keys_distinct": lambda n: b"}(" + b"".join(b"J" + struct.pack("<i", i * 65537 % 2**30) + b"N"
                                                for i in range(n // 6)) + b"X\1\0\0\0w" + TENSOR + b"u",
    "keys_twice": lambda n: text(b"k" * (n // 4)) + b"q\0" + text(b"k" * (n // 4)) + b"q\1" +
                  b"}(" + b"h\0Nh\1N" * (n // 12) + b"X\1\0\0\0w" + TENSOR + b"u",
    "keys_with_prefix": lambda n: b"}(" + b"".join(
        text(b"k" * 100 + b"%d" % i) + b"N" for i in range(n // 120)) + b"X\1\0\0\0w" + TENSOR + b"u",
    "names": lambda n: b"}(" + b"".join(text(b"%d" % i) + b"h\0" for i in range(n // 12)) + b"u",
    "longs": lambda n: b"\x8b" + struct.pack("<I", n) + b"\0" * n,
}


def pickled_zip(body, method):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method, compresslevel=9) as archive:
        archive.writestr("a/data.pkl", framed(body))
        archive.writestr("a/data/0", bytes(16))
    return stream.getvalue()


def safetensors(header, values=b""):
    return struct.pack("<Q", len(header)) + header + values


def entry(name, begin=0, end=0):
    return b'"%s":{"dtype":"F32","shape":[%d],"data_offsets":[%d,%d]}' % (
        name, (end - begin) // 4, begin, end)


OTHERS = {
    "st_names": lambda n: safetensors(b"{" + b",".join(
        entry(b"%d" % i) for i in range(n // 60)) + b"}"),
    "st_prefix": lambda n: safetensors(b"{" + b",".join(
        entry(b"k" * 4000 + b"%d" % i) for i in range(n // 4060)) + b"}"),
    "st_metadata": lambda n: safetensors(b'{"__metadata__":{' + b",".join(
        b'"%d":""' % i for i in range(n // 10)) + b"}}"),
    "st_text": lambda n: safetensors(b'{"' + b"a" * n + b'":1}'),
    "st_escapes": lambda n: safetensors(b'{"' + b"\\u00e9" * (n // 6) + b'":1}'),
    "st_space": lambda n: safetensors(b"{" + b" " * n + b"}"),
    "st_nest": lambda n: safetensors(b'{"a":' + b"[" * n + b"}"),
    "st_shape": lambda n: safetensors(b'{"a":{"dtype":"F32","shape":[' + b"1," * (n // 2) + b"1]}}"),
    "st_digits": lambda n: safetensors(b'{"a":{"dtype":"F32","shape":[' + b"1" * n + b"]}}"),
    "zip_records": lambda n: zip_of(n // 110),
    "zip_comment": lambda n: zip_of(1) [:-2] + struct.pack("<H", min(n, 65535)) + (
        b"PK\5\6" * 16384)[:min(n, 65535)],
    "inflate_empty_blocks": lambda n: deflated(b"\0\0\0\xff\xff" * (n // 5) + b"\3\0"),
    "inflate_fixed_empty": lambda n: deflated(b"\x02\x08\x20\x80\x00" * (n // 5) + b"\3\0"),
    "text": lambda n: b"a" * n,
    "zeros": lambda n: b"\0" * n,
}


def zip_of(count):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for i in range(count):
            archive.writestr(f"a/{i:06}", b"")
    return stream.getvalue()


def deflated(packed):
    """An archive whose pickle is those compressed bytes."""
    name = b"a/data.pkl"
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(packed), 100, len(name), 0)
    directory = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(packed), 100,
                            len(name), 0, 0, 0, 0, 0, 0) + name
    begin = len(local) + len(name) + len(packed)
    return (local + name + packed + directory +
            struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(directory), begin, 0))


def legacy(body):
    import pickle
    magic = pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    return magic + framed(body) + framed(b"]X\1\0\0\0000a") + struct.pack("<q", 4) + bytes(16)


def files(small, large):
    """(name, size, bytes)."""
    for size in small, large:
        for name, make in FAMILIES.items():
            body = make(size)
            yield f"{name}.zip", size, pickled_zip(body, zipfile.ZIP_STORED)
            yield f"{name}.deflated", size, pickled_zip(body, zipfile.ZIP_DEFLATED)
            yield f"{name}.legacy", size, legacy(body)
        for name, make in OTHERS.items():
            yield name, size, make(size)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--seconds", type=float, default=1.0, help="for one file")
    parser.add_argument("--small", type=int, default=2**20)
    parser.add_argument("--large", type=int, default=2**23)
    arguments = parser.parse_args()
    failures, times = [], {}
    tool = subprocess.Popen([arguments.tool], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True, errors="replace")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bomb"
        for name, size, data in files(arguments.small, arguments.large):
            path.write_bytes(data)
            print(path, file=tool.stdin, flush=True)
            answer = tool.stdout.readline().rstrip("\n").split("\t")
            if len(answer) < 3:
                sys.exit(f"{name} of {size}: the tool died")
            seconds = float(answer[1])
            times[name, size] = seconds
            what = answer[2] + (": " + answer[3][:80] if answer[2] == "refused" else "")
            if len(answer) > 3 and answer[2] == "refused" and len(answer[3]) > 1000:
                failures.append(f"{name}: an error of {len(answer[3])} bytes")
            if seconds > arguments.seconds:
                failures.append(f"{name} of {size}: {seconds:.2f} s ({what})")
            growth = arguments.large / arguments.small
            if size == arguments.large and seconds > 0.1 and \
               seconds > 5 * growth * max(times[name, arguments.small], 0.005):
                failures.append(f"{name}: {times[name, arguments.small]:.3f} s for "
                                f"{arguments.small}, but {seconds:.3f} s for {size}")
    tool.stdin.close()
    tool.wait()
    for (name, size), seconds in sorted(times.items(), key=lambda item: -item[1])[:5]:
        print(f"{seconds:.3f} s  {name} of {size} bytes")
    print(f"{len(times)} files, {len(failures)} failures")
    for failure in failures:
        print(failure)
    sys.exit(1 if failures else 0)


main()
