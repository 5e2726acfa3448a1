// SPDX-License-Identifier: MIT
// ONNX Runtime, for matting.py: node onnxruntime.cjs NETWORK SIZES THREADS FRAMES NODE_MODULES, with
// SIZES as "src=1x3x288x512,r1=...". Prints the milliseconds of each frame of a stream.

'use strict';

const path = require('path');

const [network, sizes, threads, frames, nodeModules] = process.argv.slice(2);
const ort = require(path.join(path.resolve(nodeModules), 'onnxruntime-node'));

async function main() {
  const session = await ort.InferenceSession.create(network, {
    executionProviders: ['cpu'],
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });
  const feeds = {};
  for (const entry of sizes.split(',')) {
    const [name, text] = entry.split('=');
    const shape = text.split('x').map(Number);
    const count = shape.reduce((a, b) => a * b);
    const values = Float32Array.from({length: count}, () => (name === 'src' ? Math.random() : 0));
    feeds[name] = new ort.Tensor('float32', values, shape);
  }
  for (let i = 0; i < Number(frames); ++i) {
    const start = process.hrtime.bigint();
    const outputs = await session.run(feeds);
    console.log(Number(process.hrtime.bigint() - start) / 1e6);
    for (const state of ['r1', 'r2', 'r3', 'r4']) feeds[state] = outputs[`next_${state}`];
  }
}

main();
