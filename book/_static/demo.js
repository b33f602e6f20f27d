"use strict";
/* Draw a digit: the canvas, its keyboard, and what the network of network.js says of it. */
document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("digit-demo");
  if (!place) return;
  if (!ROBUSTLIB_NETWORK) {
    place.textContent = "No network that this page understands is committed in this edition, so there is nothing to draw for.";
    return;
  }
  const SIDE = 28, STEPS = 40, STARTS = 5, layers = RobustNetwork.load(ROBUSTLIB_NETWORK);
  /* Strokes of sample digits: corners as column and row on the 28 x 28 grid, strokes apart. */
  const SAMPLES = ["14,5 9,9 8,15 10,20 14,22 18,19 19,13 18,8 14,5", "11,9 15,5 14,22", "9,9 12,5 17,6 18,10 9,21 19,21",
    "9,6 16,5 18,9 13,13 18,16 17,20 12,22 8,20", "9,5 9,14 19,14|17,4 16,23", "18,5 10,6 9,13 15,12 18,16 15,21 8,21",
    "16,5 10,11 8,17 11,21 16,21 18,17 14,14 9,17", "8,6 18,6 12,22", "14,5 10,7 10,11 17,16 17,20 13,22 9,20 10,16 17,11 17,7 14,5",
    "17,9 13,5 9,8 10,12 16,12 18,7 17,14 15,22"];

  place.innerHTML = `
    <div class="demo-boards">
      <figure><canvas id="demo-drawing" width="${SIDE}" height="${SIDE}" tabindex="0" role="application" aria-describedby="demo-keys"
        aria-label="Drawing area of 28 by 28 pixels"></canvas><figcaption>Draw here</figcaption></figure>
      <figure><canvas id="demo-seen" width="${SIDE}" height="${SIDE}" role="img"
        aria-label="The drawing, centred as in MNIST"></canvas><figcaption>What the network sees</figcaption></figure>
      <figure><canvas id="demo-attacked" width="${SIDE}" height="${SIDE}" role="img"
        aria-label="The image that PGD ends with"></canvas><figcaption>After PGD</figcaption></figure>
    </div>
    <p id="demo-keys">Draw with mouse or finger. By keyboard: arrows move, <kbd>space</kbd> lowers or lifts the pen, <kbd>Delete</kbd> clears.</p>
    <p><label for="demo-sample">Or take a digit</label> <select id="demo-sample"><option value="">none</option>
      ${SAMPLES.map((_, digit) => `<option>${digit}</option>`).join("")}</select> <button type="button" id="demo-clear">Clear</button></p>
    <p><label for="demo-eps">Budget ε (largest change of a pixel)</label>
      <input type="range" id="demo-eps" min="0" max="0.3" step="0.005" value="0.1"> <output for="demo-eps">0.100</output>
      <button type="button" id="demo-attack">Attack and certify</button></p>
    <div role="status"><p id="demo-answer"></p><ul id="demo-findings"></ul></div>
    <p class="footnotes-row">Network <code>${ROBUSTLIB_NETWORK.file}</code>, weights SHA-256 <code>${ROBUSTLIB_NETWORK.digest.slice(0, 16)}</code>.</p>`;

  const find = (name) => document.getElementById(`demo-${name}`);
  const eps = find("eps"), drawing = find("drawing"), pen = { x: 14, y: 14, down: false, keyed: false };
  const image = new Float64Array(SIDE * SIDE);

  function show(canvas, pixels) {
    const context = canvas.getContext("2d"), bytes = context.createImageData(SIDE, SIDE);
    pixels.forEach((value, j) => bytes.data.set([255 * value, 255 * value, 255 * value, 255], 4 * j));
    context.putImageData(bytes, 0, 0);
  }

  /* A soft round brush: each pixel keeps the darkest ink that came near it. */
  function dab(x, y) {
    image.forEach((value, j) => {
      const far = Math.hypot((j % SIDE) + 0.5 - x, Math.floor(j / SIDE) + 0.5 - y);
      image[j] = Math.max(value, Math.min(1, Math.max(0, 2 - far)));
    });
  }

  function line(from, to) {
    const pieces = Math.ceil(2 * Math.hypot(to.x - from.x, to.y - from.y)) || 1;
    for (let k = 0; k <= pieces; k++)
      dab(from.x + ((to.x - from.x) * k) / pieces, from.y + ((to.y - from.y) * k) / pieces);
  }

  /* MNIST's digits lie with their center of mass in the middle. */
  function centred() {
    let mass = 0, across = 0, down = 0;
    image.forEach((value, j) => { mass += value; across += value * (j % SIDE); down += value * Math.floor(j / SIDE); });
    const right = Math.round(SIDE / 2 - 0.5 - across / mass), below = Math.round(SIDE / 2 - 0.5 - down / mass);
    return mass && Array.from(image, (_, j) => {
      const x = (j % SIDE) - right, y = Math.floor(j / SIDE) - below;
      return x >= 0 && x < SIDE && y >= 0 && y < SIDE ? image[y * SIDE + x] : 0;
    });
  }

  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const leader = (z) => z.indexOf(Math.max(...z));
  const blank = new Float64Array(SIDE * SIDE);

  /* The picture of the drawing has the keyboard's pen in it; what the network sees has not. */
  function refresh() {
    const cursor = Math.floor(pen.y) * SIDE + Math.floor(pen.x);
    show(drawing, pen.keyed ? image.map((value, j) => (j === cursor ? 1 - Math.round(value) : value)) : image);
    const seen = centred();
    show(find("seen"), seen || blank);
    show(find("attacked"), blank);
    find("findings").replaceChildren();
    find("attack").disabled = !seen;
    if (!seen) { find("answer").textContent = "Nothing is drawn yet."; return; }
    const z = RobustNetwork.logits(layers, seen), shares = RobustNetwork.softmax(z);
    find("answer").innerHTML = `The network says <strong>${leader(z)}</strong>, with ${percent(Math.max(...shares))}.`;
  }

  function attack() {
    const x = centred(), label = leader(RobustNetwork.logits(layers, x)), size = Number(eps.value);
    /* The same drawing meets the same starts: Park and Miller's generator. */
    let state = 1;
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
    const found = RobustNetwork.pgd(layers, x, label, { eps: size, steps: STEPS, stepSize: size / 10, starts: STARTS, random });
    show(find("attacked"), found.point);
    const lines = [found.winner === label ? `PGD, ${STEPS} steps from each of ${STARTS} starts, does not change the answer.`
      : `PGD changes the answer: after the attack the network says ${found.winner}.`];
    for (const [name, method] of [["Interval", RobustNetwork.interval], ["Dual", RobustNetwork.dual]]) {
      const bounds = method(layers, x, label, size).map((margin, k) => (k === label ? Infinity : margin));
      /* Far above what rounding may add to a sum of this length in float64. */
      const least = Math.min(...bounds), proven = least > 1e-6;
      const margin = `the least lead of ${label} over another class is ${least.toFixed(3)} logits or more`;
      lines.push(`${name} bound: ${proven ? "certified" : "no certificate"}; ${margin}${proven ? ", whatever the attack" : ""}.`);
    }
    find("findings").replaceChildren(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  }

  const at = (event) => {
    const frame = drawing.getBoundingClientRect();
    return { x: ((event.clientX - frame.left) / frame.width) * SIDE, y: ((event.clientY - frame.top) / frame.height) * SIDE };
  };
  let last = null;
  drawing.addEventListener("pointerdown", (event) => {
    drawing.setPointerCapture(event.pointerId);
    pen.keyed = false;
    line((last = at(event)), last);
    refresh();
  });
  drawing.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = at(event);
    line(last, next);
    last = next;
    refresh();
  });
  for (const name of ["pointerup", "pointercancel"]) drawing.addEventListener(name, () => { last = null; });

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  drawing.addEventListener("keydown", (event) => {
    if (event.key in moves) {
      const [right, below] = moves[event.key], from = { ...pen };
      pen.x = Math.min(SIDE - 1, Math.max(1, pen.x + right));
      pen.y = Math.min(SIDE - 1, Math.max(1, pen.y + below));
      if (pen.down) line(from, pen);
    } else if (event.key === " ") {
      pen.down = !pen.down;
      if (pen.down) dab(pen.x, pen.y);
    } else if (event.key === "Delete" || event.key === "Backspace") image.fill(0);
    else return;
    pen.keyed = true;
    event.preventDefault();
    refresh();
  });

  find("sample").addEventListener("change", (event) => {
    image.fill(0);
    pen.keyed = false;
    for (const stroke of event.target.value ? SAMPLES[event.target.value].split("|") : []) {
      const corners = stroke.split(" ").map((corner) => corner.split(",").map(Number)).map(([x, y]) => ({ x, y }));
      corners.slice(1).forEach((corner, k) => line(corners[k], corner));
    }
    refresh();
  });
  find("clear").addEventListener("click", () => { image.fill(0); pen.keyed = false; find("sample").value = ""; refresh(); });
  eps.addEventListener("input", () => {
    document.querySelector("output[for=demo-eps]").textContent = Number(eps.value).toFixed(3);
    refresh();
  });
  find("attack").addEventListener("click", attack);
  refresh();
});
