"use strict";
/* A network of convolutions, dense layers and ReLUs: logits, PGD, interval and dual bounds, as robustlib computes them.

   Images are arrays of numbers in [0, 1], row by row. Weights are float16 in base64 and are computed with in float64.
   tests/book/test_demo.py compares every function here with robustlib's in a real browser. */
const RobustNetwork = (() => {
  function half(bits) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  }

  /* Layers with Float64Array weights from what robustlib.report.browser_demo wrote. */
  function load(file) {
    const bytes = Uint8Array.from(atob(file.weights), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    let at = 0;
    const take = (count) => Float64Array.from({ length: count }, () => half(view.getUint16(2 * at++, true)));
    return file.layers.map((layer) => {
      const [outs, ins, size] = [layer.shape[0], layer.shape[1], layer.shape[2] || 1];
      return { ...layer, outs, ins, size, weight: take(outs * ins * size * size), bias: take(outs) };
    });
  }

  /* Calls visit(position before, position after, weight's position) for every product of a convolution. */
  function products(layer, skip, visit) {
    const { outs, ins, size, stride, padding } = layer, [, high, wide] = layer.before, [, rows, columns] = layer.after;
    for (let o = 0, place = 0; o < outs; o++)
      for (let r = 0; r < rows; r++)
        for (let c = 0; c < columns; c++, place++) {
          if (skip(place)) continue;
          for (let i = 0; i < ins; i++)
            for (let y = 0; y < size; y++) {
              const row = r * stride + y - padding;
              if (row < 0 || row >= high) continue;
              for (let x = 0; x < size; x++) {
                const column = c * stride + x - padding;
                if (column >= 0 && column < wide)
                  visit((i * high + row) * wide + column, place, ((o * ins + i) * size + y) * size + x);
              }
            }
        }
  }

  const count = (shape) => shape.reduce((all, n) => all * n, 1);
  const biasOf = (layer, place) => layer.bias[Math.floor(place / (count(layer.after) / layer.outs))];

  /* W z + b, or |W| z where `spread`. */
  function forward(layer, z, spread = false) {
    const out = new Float64Array(count(layer.after));
    const weight = spread ? layer.weight.map(Math.abs) : layer.weight;
    if (layer.type === "conv") products(layer, () => false, (from, to, w) => { out[to] += weight[w] * z[from]; });
    else
      for (let o = 0, w = 0; o < layer.outs; o++) for (let i = 0; i < layer.ins; i++) out[o] += weight[w++] * z[i];
    return spread ? out : out.map((value, place) => value + biasOf(layer, place));
  }

  /* W' a: a linear function of what comes after the layer as one of what comes before it. */
  function back(layer, a) {
    const out = new Float64Array(count(layer.before)), { weight, ins } = layer;
    if (layer.type === "conv") products(layer, (to) => a[to] === 0, (from, to, w) => { out[from] += weight[w] * a[to]; });
    else
      for (let o = 0; o < layer.outs; o++)
        if (a[o] !== 0) for (let i = 0; i < ins; i++) out[i] += weight[o * ins + i] * a[o];
    return out;
  }

  /* Values before each ReLU, the logits last. */
  function values(layers, x) {
    const found = [];
    for (const layer of layers) found.push(forward(layer, found.length ? found.at(-1).map((v) => Math.max(v, 0)) : x));
    return found;
  }

  const logits = (layers, x) => Array.from(values(layers, x).at(-1));

  function softmax(z) {
    const top = Math.max(...z), powers = Array.from(z, (value) => Math.exp(value - top));
    const sum = powers.reduce((all, value) => all + value, 0);
    return powers.map((value) => value / sum);
  }

  /* Gradient of the cross-entropy to the image, its value, and the class at x. */
  function gradient(layers, x, label) {
    const found = values(layers, x), shares = softmax(found.at(-1));
    let slope = Float64Array.from(shares, (share, k) => share - (k === label));
    for (let i = layers.length - 1; i >= 0; i--) {
      slope = back(layers[i], slope);
      if (i) slope = slope.map((value, j) => (found[i - 1][j] > 0 ? value : 0));
    }
    return { slope, loss: -Math.log(shares[label]), winner: shares.indexOf(Math.max(...shares)) };
  }

  /* Steps of the gradient's sign, each projected to the ball and to [0, 1]; stops at the first start that succeeds.
     The first start is x itself; `random` gives the numbers in [0, 1) that the others are drawn with. */
  function pgd(layers, x, label, { eps, steps, stepSize, starts = 1, random }) {
    let best = { loss: -Infinity };
    for (let start = 0; start < starts; start++) {
      const clip = (value, j) => Math.min(1, Math.max(0, Math.min(x[j] + eps, Math.max(x[j] - eps, value))));
      let point = Float64Array.from(x, (value, j) => clip(start ? value + eps * (2 * random() - 1) : value, j));
      for (let step = 0; step < steps; step++) {
        const { slope } = gradient(layers, point, label);
        point = point.map((value, j) => clip(value + stepSize * Math.sign(slope[j]), j));
      }
      const { loss, winner } = gradient(layers, point, label);
      if (loss > best.loss || winner !== label) best = { point: Array.from(point), loss, winner };
      if (winner !== label) break;
    }
    return best;
  }

  /* The box of images within eps, as center and radius. */
  function box(x, eps) {
    const low = x.map((value) => Math.max(0, value - eps)), high = x.map((value) => Math.min(1, value + eps));
    return { center: low.map((value, j) => (value + high[j]) / 2), radius: low.map((value, j) => (high[j] - value) / 2) };
  }

  const sum = (row, value) => row.reduce((all, entry, j) => all + (entry ? value(entry, j) : 0), 0);
  const objectives = (classes, label) =>
    Array.from({ length: classes }, (_, k) => Float64Array.from({ length: classes }, (_, j) => (j === label) - (j === k)));

  /* Lower bounds on logit[label] - logit[k] by interval arithmetic; the last layer is merged with the difference. */
  function interval(layers, x, label, eps) {
    let { center, radius } = box(Array.from(x), eps);
    for (const layer of layers.slice(0, -1)) {
      const middle = forward(layer, center), reach = forward(layer, radius, true);
      const low = middle.map((m, j) => Math.max(0, m - reach[j])), high = middle.map((m, j) => Math.max(0, m + reach[j]));
      center = low.map((value, j) => (value + high[j]) / 2);
      radius = low.map((value, j) => (high[j] - value) / 2);
    }
    const last = layers.at(-1);
    return objectives(last.outs, label).map((row) => {
      const before = back(last, row);
      return sum(row, (a, j) => a * last.bias[j]) + sum(before, (a, j) => a * center[j] - Math.abs(a) * radius[j]);
    });
  }

  /* Least and greatest value over the box of a linear function of what layer `at` gives (the dual of Wong and Kolter). */
  function carry(layers, row, at, reluses, { center, radius }) {
    let low = 0, high = 0;
    for (let i = at; i >= 0; i--) {
      if (i < at) {
        const { slope, floor } = reluses[i];
        row = row.map((a, j) => a * slope[j]);
        low -= sum(row, (a, j) => (a < 0 ? a * floor[j] : 0));
        high -= sum(row, (a, j) => (a > 0 ? a * floor[j] : 0));
      }
      const shift = sum(row, (a, j) => a * biasOf(layers[i], j));
      [low, high, row] = [low + shift, high + shift, back(layers[i], row)];
    }
    const middle = sum(row, (a, j) => a * center[j]), reach = sum(row, (a, j) => Math.abs(a) * radius[j]);
    return [low + middle - reach, high + middle + reach];
  }

  /* The same bounds by the dual, with the paper's slopes u / (u - l): tighter, and dearer. */
  function dual(layers, x, label, eps) {
    const region = box(Array.from(x), eps), reluses = [], last = layers.length - 1;
    for (let at = 0; at < last; at++) {
      const units = count(layers[at].after), slope = new Float64Array(units), floor = new Float64Array(units);
      for (let j = 0; j < units; j++) {
        const [low, high] = carry(layers, new Float64Array(units).fill(1, j, j + 1), at, reluses, region);
        slope[j] = low >= 0 ? 1 : high <= 0 ? 0 : high / (high - low);
        floor[j] = low < 0 && high > 0 ? low : 0;
      }
      reluses.push({ slope, floor });
    }
    return objectives(layers[last].outs, label).map((row) => carry(layers, row, last, reluses, region)[0]);
  }

  return { load, logits, softmax, pgd, interval, dual };
})();
