// SPDX-License-Identifier: MIT
// The peer `ONNX Runtime`: node onnxruntime.cjs MODELS THREADS NODE_MODULES
// serve.hpp says what it is asked and what it answers.

'use strict';

const fs = require('fs');
const path = require('path');
const readline = require('readline');

const [models, threads, nodeModules] = process.argv.slice(2);
const packages = path.resolve(nodeModules);
const ort = require(path.join(packages, 'onnxruntime-node'));
const {version} = require(path.join(packages, 'onnxruntime-node', 'package.json'));

const options = {
  executionProviders: ['cpu'],
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
};

function readFloats(file) {
  return new Float32Array(new Uint8Array(fs.readFileSync(file)).buffer);
}

let loaded = {};  // one case at a time: idle sessions keep threads

async function load(net, height, width, batch) {
  const stem = path.join(models, `${net}_${height}x${width}_${batch}`);
  if (loaded.stem !== stem) {
    if (loaded.session) await loaded.session.release();
    const session = await ort.InferenceSession.create(`${stem}.onnx`, options);
    const sizes = [batch, 3, height, width].map(Number);
    const pictures = new ort.Tensor('float32', readFloats(`${stem}.in`), sizes);
    loaded = {stem, session, feeds: {pictures}};
  }
  return loaded;
}

async function difference({stem, session, feeds}) {
  const reference = readFloats(`${stem}.out`);
  const outputs = await session.run(feeds);
  let i = 0, off = 0, norm = 0;
  for (const name of session.outputNames) {
    for (const value of outputs[name].data) {
      off += (value - reference[i]) ** 2;
      norm += reference[i++] ** 2;
    }
  }
  if (i !== reference.length) throw new Error(`${i} outputs instead of ${reference.length}`);
  return Math.sqrt(off / norm);
}

async function milliseconds({session, feeds}, passes) {
  const times = [];
  for (let i = 0; i < passes; ++i) {
    const start = process.hrtime.bigint();
    await session.run(feeds);
    times.push(Number(process.hrtime.bigint() - start) / 1e6);
  }
  return times.join(' ');
}

async function answer(line) {
  const [request, net, height, width, batch, passes] = line.split(' ');
  const network = await load(net, height, width, batch);
  return request === 'check' ? difference(network) : milliseconds(network, Number(passes));
}

async function main() {
  console.log(`ready ONNX Runtime ${version}, node ${process.versions.node}`);
  for await (const line of readline.createInterface({input: process.stdin})) {
    try {
      console.log('ok', await answer(line));
    } catch (error) {
      console.log('failed', String(error.message).split('\n')[0]);
    }
  }
}

main();
