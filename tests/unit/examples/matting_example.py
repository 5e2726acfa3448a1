# SPDX-License-Identifier: MIT
"""The example `matting`, as people use it: videos, pictures, folders and raw frames in, videos and
pictures out, and what is wrong with what is given.

    matting_example.py MATTING
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "parity"))
try:
    import torch
    import torchvision
    import matting
except ImportError as error:
    print(f"SKIPPED: {sys.executable}: {error}", file=sys.stderr)
    sys.exit(77)

PROGRAM = sys.argv[1]
HEIGHT, WIDTH, COUNT = 96, 128, 6


def run(*arguments, status=0, **options):
    done = subprocess.run([PROGRAM, "--threads", "1", *map(str, arguments)], capture_output=True, **options)
    text = done.stdout.decode() + done.stderr.decode()
    if done.returncode != status:
        raise AssertionError(f"{arguments}: status {done.returncode} instead of {status}: {text}")
    return text


class Matting(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.keeper = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.keeper.name)
        cls.weights = cls.folder / "deep.pth"
        cls.net = matting.made("deep")
        torch.save(cls.net.state_dict(), cls.weights)
        torch.save(matting.made("fast").state_dict(), cls.folder / "fast.pth")
        torch.manual_seed(0)
        scene = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 16), (HEIGHT * 2, WIDTH * 2),
                                                mode="bicubic").clamp(0, 1)[0]
        cls.frames = [(scene[:, i * 4:i * 4 + HEIGHT, i * 5:i * 5 + WIDTH] * 255).round().byte()
                      for i in range(COUNT)]
        (cls.folder / "frames").mkdir()
        for i, frame in enumerate(cls.frames):
            torchvision.io.write_png(frame.contiguous(), str(cls.folder / f"frames/{i:03d}.png"))

    @classmethod
    def tearDownClass(cls):
        cls.keeper.cleanup()

    def mattes(self):
        """What Python makes of the frames, the state going on."""
        states, outputs = [None] * 4, []
        with torch.no_grad():
            for frame in self.frames:
                (foreground, alpha), states = self.net.matte(frame[None] / 255, states, 1)
                outputs.append((foreground[0], alpha[0]))
        return outputs

    def assert_near(self, file, expected):
        ours = torchvision.io.read_image(str(file)).float()
        self.assertLessEqual((ours - expected * 255).abs().max().item(), 1.01, file)

    def test_folder_to_pictures(self):
        """Each frame as Python has it: so the state is carried from one to the next."""
        out = self.folder / "pictures"
        out.mkdir()
        text = run("--input", self.folder / "frames", "--weights", self.weights, "--output",
                   out / "o%03d.png", "--alpha", out / "a%03d.png", "--foreground", out / "f%03d.png",
                   "--background", "#0000ff")
        self.assertRegex(text, rf"^{COUNT} frames of {WIDTH} x {HEIGHT}, downsample ratio 1,")
        blue = torch.tensor([0, 0, 1.0]).view(3, 1, 1)
        for i, (foreground, alpha) in enumerate(self.mattes(), 1):
            self.assert_near(out / f"f{i:03d}.png", foreground)
            self.assert_near(out / f"a{i:03d}.png", alpha.expand(3, -1, -1))
            self.assert_near(out / f"o{i:03d}.png", foreground * alpha + blue * (1 - alpha))

    def test_videos(self):
        video = self.folder / "out.mkv"
        run("--input", self.folder / "frames", "--weights", self.weights, "--output", video)
        text = run("--input", video, "--weights", self.weights, "--alpha", self.folder / "alpha.mp4",
                   "--downsample-ratio", 0.5)
        self.assertRegex(text, rf"^{COUNT} frames of {WIDTH} x {HEIGHT}, downsample ratio 0.5,")

    def test_raw_frames_and_one_picture(self):
        raw = b"".join(frame.permute(1, 2, 0).contiguous().numpy().tobytes() for frame in self.frames)
        text = run("--input", "-", "--size", f"{WIDTH}x{HEIGHT}", "--weights", self.weights, "--alpha",
                   self.folder / "raw%02d.png", input=raw)
        self.assertRegex(text, rf"^{COUNT} frames")
        self.assert_near(self.folder / f"raw{COUNT:02d}.png", self.mattes()[-1][1].expand(3, -1, -1))
        run("--input", self.folder / "frames/000.png", "--weights", self.weights, "--output",
            self.folder / "one.png", "--background", self.folder / "frames/003.png")
        foreground, alpha = self.mattes()[0]
        self.assert_near(self.folder / "one.png",
                         foreground * alpha + self.frames[3] / 255 * (1 - alpha))

    def test_broken_frame(self):
        """What cannot be decoded is left out, and said; the rest is there."""
        folder = self.folder / "broken"
        folder.mkdir()
        for i, frame in enumerate(self.frames):
            torchvision.io.write_png(frame.contiguous(), str(folder / f"{i:03d}.png"))
        damaged = bytearray((folder / "002.png").read_bytes())
        damaged[40:] = bytes(len(damaged) - 40)
        (folder / "002.png").write_bytes(damaged)
        text = run("--input", folder, "--weights", self.weights, "--alpha", self.folder / "broken.mkv")
        self.assertRegex(text, rf"{COUNT - 1} frames")
        self.assertRegex(text, r"warning: 1 broken frames")

    def test_refused(self):
        frames, out = self.folder / "frames", self.folder / "never.mkv"
        sound = self.folder / "sound.wav"
        sound.write_bytes(b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\x08\0\0\0"
                          + bytes(8))
        given = {"input": frames, "weights": self.weights, "output": out}
        for change, status, words in (
                ({"input": sound}, 1, "has no pictures"),
                ({"input": self.weights}, 1, "cannot read"),
                ({"input": self.folder / "nothing.mp4"}, 1, "No such file"),
                ({"input": "-"}, 1, "need --size"),
                ({"output": self.folder / "no/where.mkv"}, 1, "cannot write.*No such file"),
                ({"output": self.folder / "out.xyz"}, 1, "does not end as a video or picture"),
                ({"downsample-ratio": 0}, 2, "must be a number from 0.001 to 1"),
                ({"downsample-ratio": 1.5}, 2, "must be a number from 0.001 to 1"),
                ({"downsample-ratio": 0.1}, 1, "at least 16 x 16 pixels"),
                ({"weights": self.folder / "fast.pth"}, 1, "another refiner"),
                ({"refiner": "fast"}, 1, "the deep guided filter"),
                ({"background": "#12"}, 1, "cannot read")):
            options = given | change
            text = run(*[word for name, value in options.items() for word in (f"--{name}", value)],
                       status=status)
            self.assertRegex(text, words)
            self.assertEqual(len(re.findall(r"^error: ", text, re.M)), 1, text)
        self.assertFalse(out.exists())
        self.assertEqual(list(self.folder.glob(".part-*")), [])


if __name__ == "__main__":
    torch.set_num_threads(1)
    unittest.main(argv=sys.argv[:1])
