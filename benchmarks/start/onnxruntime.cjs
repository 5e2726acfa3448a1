// SPDX-License-Identifier: MIT
// The peer of start.py: node onnxruntime.cjs NETWORK PICTURE NODE_MODULES. The picture is 3 x 224 x
// 224 plain floats. Prints the class, then its own milliseconds without those node took to start.

'use strict';

const fs = require('fs');
const path = require('path');
const start = process.hrtime.bigint();

const [network, picture, nodeModules] = process.argv.slice(2);
const ort = require(path.join(path.resolve(nodeModules), 'onnxruntime-node'));

async function main() {
  const session = await ort.InferenceSession.create(network, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });
  const bytes = new Uint8Array(fs.readFileSync(picture));
  const pictures = new ort.Tensor('float32', new Float32Array(bytes.buffer), [1, 3, 224, 224]);
  const outputs = await session.run({pictures});
  const logits = outputs[session.outputNames[0]].data;
  console.log(`class ${logits.indexOf(Math.max(...logits))}`);
  console.log(Number(process.hrtime.bigint() - start) / 1e6);
}

main();
