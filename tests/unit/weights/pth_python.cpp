// SPDX-License-Identifier: MIT
#include "doctest_torch.hpp"

#include <mnv3/weights/checkpoint_reader.hpp>
#include <mnv3/weights/tensors/pth_writer.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "files.hpp"
#include "python.hpp"

// Files that Python's torch writes, and what it says to ours.

namespace {

using files::has_torch;
using files::run;
using files::run_script;
using files::TemporaryFolder;
using Tensors = std::map<std::string, torch::Tensor>;

Tensors read_all(const std::filesystem::path& path) {
  const mnv3::CheckpointReader reader(path);
  Tensors tensors;
  for (const auto& entry : reader.entries()) tensors[entry.name] = reader.read(entry);
  return tensors;
}

torch::Tensor counting(std::vector<std::int64_t> shape) {
  std::int64_t numel = 1;
  for (const std::int64_t size : shape) numel *= size;
  return torch::arange(numel).to(torch::kFloat).reshape(shape);
}

std::string error_of(const std::filesystem::path& path) {
  return files::error_of([&] { read_all(path); });
}

}  // namespace

TEST_CASE("files that Python's torch.save wrote are read with every name, value and stride") {
  if (!has_torch()) return;
  const TemporaryFolder folder;
  run_script(folder, R"(
import collections, sys, torch, zipfile
def counting(*shape):
    n = 1
    for s in shape: n *= s
    return torch.arange(n).float().reshape(shape)
def save(name, value, **how): torch.save(value, sys.argv[1] + '/' + name, **how)
net = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.BatchNorm2d(4))
with torch.no_grad():
    for p in net.parameters(): p.copy_(counting(*p.shape))
save('plain.pth', net.state_dict())
for n in 2, 3, 4, 5: save(f'protocol{n}.pth', net.state_dict(), pickle_protocol=n)
optimizer = torch.optim.Adam(net.parameters())
net(torch.ones(1, 2, 5, 5)).sum().backward(); optimizer.step()
save('checkpoint.pth', {'model': net.state_dict(), 'optimizer': optimizer.state_dict(), 'epoch': 3,
    'args': {'lr': 0.1, 'name': 'x', 'seed': 2**64 - 1, 'big': 2**200, 'none': None, 'yes': True},
    'history': [1.5, float('nan'), -1], 'shape': (1, 2), 'device': torch.device('cpu'),
    'dtype': torch.float32, 'kinds': {1, 2}, 'bytes': b'abc',
    'meters': collections.defaultdict(int, a=1), 'rng': torch.get_rng_state()})
P = torch.nn.Parameter
save('parameters.pth', {'w': P(counting(2, 3)), 'b': P(counting(3))})
base = counting(4, 6)
save('strided.pth', {'channels_last': counting(2, 3, 4, 5).to(memory_format=torch.channels_last),
    'base': base, 'view': base[1:3, 2:5], 'transposed': base.t(), 'row': base[3], 'one': base[2, 1],
    'expanded': torch.ones(1, 3).expand(5, 3)})
save('strided_legacy.pth', torch.load(sys.argv[1] + '/strided.pth'),
    _use_new_zipfile_serialization=False)
save('dtypes.pth', {str(t)[6:]: torch.arange(-3, 9).to(t).reshape(3, 4) for t in (torch.float32,
    torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool)})
save('odd.pth', [torch.tensor(7), (torch.empty(0, 3), {'a.b': torch.ones(2)})])
save('trained.pth', net.state_dict())
save('legacy.pth', net.state_dict(), _use_new_zipfile_serialization=False)
save('legacy4.pth', net.state_dict(), _use_new_zipfile_serialization=False, pickle_protocol=4)
save('module.pth', net)
save('in_dict.pth', {'model': net})
save('complex.pth', {'c': torch.zeros(1, dtype=torch.complex64)})
save('sparse.pth', {'s': torch.eye(3).to_sparse()})
torch.jit.save(torch.jit.script(net), sys.argv[1] + '/script.pth')
torch.jit.save(torch.jit.freeze(torch.jit.script(net.eval())), sys.argv[1] + '/frozen.pth')
with open(sys.argv[1] + '/plain.pth', 'rb') as f: data = f.read()
with zipfile.ZipFile(sys.argv[1] + '/trained.pth') as plain, \
     zipfile.ZipFile(sys.argv[1] + '/packed.pth', 'w', zipfile.ZIP_DEFLATED) as packed:
    for name in plain.namelist(): packed.writestr(name, plain.read(name))
torch.load(sys.argv[1] + '/packed.pth')
open(sys.argv[1] + '/short.pth', 'wb').write(data[:-1000])
)");

  const Tensors plain = read_all(folder / "plain.pth");
  CHECK(plain.size() == 7);
  CHECK(torch::equal(plain.at("0.weight"), counting({4, 2, 3, 3})));
  CHECK((plain.at("1.num_batches_tracked").scalar_type() == torch::kLong));
  const mnv3::CheckpointReader reader(folder / "plain.pth");
  CHECK(reader.entries().front().name == "0.weight");
  CHECK(reader.entries().back().name == "1.num_batches_tracked");
  CHECK(reader.skipped_values() == 0);
  for (const int protocol : {2, 3, 4, 5})
    CHECK(read_all(folder / fmt::format("protocol{}.pth", protocol)).size() == 7);

  const Tensors checkpoint = read_all(folder / "checkpoint.pth");
  CHECK(checkpoint.contains("model.1.running_mean"));
  CHECK(checkpoint.contains("optimizer.state.0.exp_avg"));
  CHECK(checkpoint.contains("rng"));
  CHECK(mnv3::CheckpointReader(folder / "checkpoint.pth").skipped_values() > 15);

  const Tensors parameters = read_all(folder / "parameters.pth");
  CHECK(torch::equal(parameters.at("w"), counting({2, 3})));
  CHECK_FALSE(parameters.at("w").requires_grad());

  const Tensors strided = read_all(folder / "strided.pth");
  const torch::Tensor base = counting({4, 6});
  CHECK(torch::equal(strided.at("channels_last"), counting({2, 3, 4, 5})));
  CHECK(strided.at("channels_last").is_contiguous(at::MemoryFormat::ChannelsLast));
  CHECK(torch::equal(strided.at("view"), base.slice(0, 1, 3).slice(1, 2, 5)));
  CHECK(torch::equal(strided.at("transposed"), base.t()));
  CHECK(torch::equal(strided.at("row"), base[3]));
  CHECK(torch::equal(strided.at("one"), base[2][1]));
  CHECK(torch::equal(strided.at("expanded"), torch::ones({5, 3})));
  CHECK(strided.at("row").storage().nbytes() == 24);

  const Tensors dtypes = read_all(folder / "dtypes.pth");
  for (const auto& dtype : mnv3::weights::dtypes) {
    const torch::Tensor& found = dtypes.at(std::string(dtype.name));
    CHECK((found.scalar_type() == mnv3::weights::scalar_type_of(dtype.dtype)));
    CHECK(torch::equal(
        found,
        torch::arange(-3, 9).to(mnv3::weights::scalar_type_of(dtype.dtype)).reshape({3, 4})));
  }

  const Tensors odd = read_all(folder / "odd.pth");
  CHECK(odd.at("0").item<int>() == 7);
  CHECK(odd.at("1.0").sizes() == std::vector<std::int64_t>{0, 3});
  CHECK(odd.contains("1.1.a.b"));

  for (const std::string_view name : {"legacy.pth", "legacy4.pth", "script.pth", "packed.pth"}) {
#ifndef MNV3_WITH_ZLIB
    if (name == "packed.pth") continue;
#endif
    const Tensors tensors = read_all(folder / name);
    REQUIRE(tensors.size() == 7);
    for (const auto& [key, tensor] : read_all(folder / "trained.pth"))
      CHECK(torch::equal(tensors.at(key), tensor));
  }
  CHECK((mnv3::CheckpointReader(folder / "legacy.pth").format() == mnv3::Format::torch_legacy));
  CHECK((mnv3::CheckpointReader(folder / "script.pth").format() == mnv3::Format::torchscript));
  for (const auto& [key, tensor] : strided) {
    const torch::Tensor legacy = read_all(folder / "strided_legacy.pth").at(key);
    CHECK(torch::equal(legacy, tensor));
    CHECK(legacy.strides() == tensor.strides());
  }
  CHECK(error_of(folder / "module.pth")
            .find("it is a pickled object of class torch.nn.modules.container.Sequential. Save the "
                  "state dict in Python: torch.save(model.state_dict(), path)") !=
        std::string::npos);
  CHECK(
      error_of(folder / "in_dict.pth").find("but an object of class torch.nn.modules.container.") !=
      std::string::npos);
  CHECK(error_of(folder / "frozen.pth").find("`torch.jit.freeze` made constants of them") !=
        std::string::npos);
  CHECK(error_of(folder / "complex.pth").find("it is complex64") != std::string::npos);
  CHECK(error_of(folder / "sparse.pth").find("it is sparse") != std::string::npos);
  CHECK(error_of(folder / "short.pth").find("damaged or ends too early") != std::string::npos);
}

TEST_CASE("Python's torch.load and load_state_dict(strict=True) take what is written") {
  if (!has_torch()) return;
  const TemporaryFolder folder;
  const torch::Tensor weight = counting({4, 2, 3, 3});
  mnv3::write_pth(folder / "net.pth",
                  {{"0.weight", weight.contiguous(at::MemoryFormat::ChannelsLast)},
                   {"0.bias", counting({4})},
                   {"1.weight", counting({8}).slice(0, 0, 8, 2)},
                   {"1.bias", torch::ones({4}, torch::requires_grad())},
                   {"1.running_mean", torch::ones({1}).expand({4})},
                   {"1.running_var", counting({4})},
                   {"1.num_batches_tracked", torch::tensor(699033)}});
  std::vector<std::pair<std::string, torch::Tensor>> dtypes;
  for (const auto& dtype : mnv3::weights::dtypes)
    dtypes.emplace_back(
        std::string(dtype.name),
        torch::arange(-3, 9).to(mnv3::weights::scalar_type_of(dtype.dtype)).reshape({3, 4}));
  dtypes.emplace_back("empty", torch::empty({0, 3}));
  mnv3::write_pth(folder / "dtypes.pth", dtypes);
  mnv3::write_pth(folder / "nothing.pth", {});
  run_script(folder, R"(
import collections, sys, torch
folder = sys.argv[1] + '/'
counting = lambda *shape: torch.arange(torch.Size(shape).numel()).float().reshape(shape)
loaded = torch.load(folder + 'net.pth')
assert type(loaded) is collections.OrderedDict, type(loaded)
net = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.BatchNorm2d(4))
assert list(loaded) == list(net.state_dict()), list(loaded)
net.load_state_dict(loaded, strict=True)
assert torch.equal(net[0].weight, counting(4, 2, 3, 3))
assert torch.equal(net[1].weight, torch.tensor([0., 2, 4, 6]))
assert torch.equal(net[1].running_mean, torch.ones(4))
assert net[1].num_batches_tracked.item() == 699033
assert all(t.is_contiguous() and not t.requires_grad for t in loaded.values())
if 'weights_only' in torch.load.__code__.co_varnames:
    torch.load(folder + 'net.pth', weights_only=True)
torch.save(loaded, folder + 'again.pth')
dtypes = torch.load(folder + 'dtypes.pth')
assert dtypes.pop('empty').shape == (0, 3)
for name, tensor in dtypes.items():
    dtype = getattr(torch, name)
    assert tensor.dtype == dtype, (name, tensor.dtype)
    assert torch.equal(tensor, torch.arange(-3, 9).to(dtype).reshape(3, 4)), name
assert len(torch.load(folder + 'nothing.pth')) == 0
)");
  CHECK(torch::equal(read_all(folder / "again.pth").at("0.weight"), weight));
}
