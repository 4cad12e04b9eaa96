'use strict';
// Draws a recording's explanation: the picture with its edges, what is under the pointer, and the sound. Asks nothing of any server.
const speechlens = (() => {
  const PALETTES = {
    'red and blue': [[0xc2, 0x2b, 0x2b], [0x1f, 0x62, 0xb5]],
    'orange and purple': [[0xd9, 0x6c, 0x00], [0x54, 0x27, 0x88]],
  };
  // Quiet to loud, under the colours.
  const GREY = [[0xff, 0xff, 0xff], [0xc9, 0xcd, 0xd2], [0x8f, 0x95, 0x9c], [0x54, 0x59, 0x5f]];
  const MARGIN = { left: 58, top: 56, right: 64, bottom: 44 };
  const HEIGHT = 300;
  // How near ticks may come to each other, as a share of the height.
  const NEAREST = 0.05;
  // The height of what is said of frames, a class.
  const STRIP = 36;
  // More columns than this are too wide a canvas for some browsers.
  const WIDEST = 8192;
  // What the sliders say, for all figures.
  const view = { opacity: 1, threshold: 0, top: 100, palette: 'red and blue' };
  let figures = [];
  const embedded = document.getElementById('data');

  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const floats = text => new Float32Array(bytes(text).buffer);
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const mix = (a, b, t) => a.map((v, i) => v + (b[i] - v) * t);
  const grey = t => {
    const place = clamp(t, 0, 1) * (GREY.length - 1);
    const low = Math.min(Math.floor(place), GREY.length - 2);
    return mix(GREY[low], GREY[low + 1], place - low);
  };
  const significant = value => {
    if (value === 0) return '0';
    const size = Math.abs(value);
    return size < 1e-3 || size >= 1e5 ? value.toExponential(2) : Number(value.toPrecision(3)).toString();
  };

  /// How much of the answer a picture accounts for, in words.
  function accounts(account) {
    if (!account) return '';
    const { relevance, score, what } = account;
    const largest = Math.max(Math.abs(relevance), Math.abs(score)) || 1;
    const decimals = clamp(2 - Math.floor(Math.log10(largest)), 2, 9);
    const [part, whole] = [relevance, score].map(value => value.toFixed(decimals).replace('-', '−'));
    return `The picture accounts for ${part} of ${whole}, ${what}. How much that is does not tell whether it is true: rules whose relevance adds up exactly have been no better than chance where the truth was known.`;
  }

  /// How a frame is explained by itself: a file can only tell.
  const asking = frame => embedded ? `--frames ${frame}..${frame + 1} explains it alone.` : 'A click explains it alone.';

  /// Round steps of about so many parts of a range.
  function ticks(low, high, parts) {
    const rough = (high - low) / Math.max(1, parts);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= rough);
    const first = Math.ceil(low / step - 1e-9);
    const found = [];
    for (let n = first; n * step <= high + step * 1e-9; n++) found.push(Number((n * step).toPrecision(12)));
    return found;
  }

  /// Of a canvas as wide as it is shown and so high, the context, in CSS pixels.
  function prepared(canvas, height) {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    const context = canvas.getContext('2d');
    context.scale(ratio, ratio);
    context.font = '12px system-ui, sans-serif';
    return context;
  }

  class Plot {
    constructor(data) {
      Object.assign(this, data);
      this.isWaveform = data.frequencies.length === 0;
      this.levels = floats(data.levels);
      this.rows = Math.max(1, data.frequencies.length);
      this.columns = this.levels.length / this.rows;
      this.lowest = Infinity; this.loudest = -Infinity;
      for (const level of this.levels) { this.lowest = Math.min(this.lowest, level); this.loudest = Math.max(this.loudest, level); }
      this.first = data;
      this.answer(data);
      this.build();
    }

    /// Takes the relevance of one of the questions.
    answer({ relevance, limit, account }) {
      this.relevance = floats(relevance);
      Object.assign(this, { limit, account });
      this.sorted = Float32Array.from(this.relevance).sort();
      this.byTime = this.sums(this.columns, index => index % this.columns);
      this.byFrequency = this.sums(this.rows, index => Math.floor(index / this.columns));
    }

    /// Positive and negative relevance of each place.
    sums(count, place) {
      const up = new Float64Array(count), down = new Float64Array(count);
      this.relevance.forEach((r, index) => { (r > 0 ? up : down)[place(index)] += r; });
      let most = Number.MIN_VALUE;
      for (let i = 0; i < count; i++) most = Math.max(most, up[i], -down[i]);
      return { up, down, most };
    }

    build() {
      this.canvas = element('canvas', { tabindex: '0', role: 'img', 'aria-label':
        `${this.title}: relevance over ${this.isWaveform ? 'the waveform' : 'the spectrogram'}, with its sums along the edges. Arrow keys move the pointer.` });
      this.head = element('div', { class: 'head' });
      this.readout = element('p', { class: 'readout', 'aria-live': 'polite' }, 'Point at the picture to read its values.');
      this.scale = this.buildScale();
      this.accounts = element('p', { class: 'accounts' }, accounts(this.account));
      const plot = element('div', { class: 'plot' }, this.canvas, this.head);
      if (this.strip) plot.append(this.frames = this.buildStrip());
      this.box = element('figure', { class: 'exhibit' }, element('h2', {}, this.title), plot, this.scale, this.accounts, this.readout);
      if (this.other) this.box.firstChild.after(this.buildQuestions());
      if (this.worth) this.box.append(this.buildWorth());
      if (this.sounds.length) this.box.append(this.listing = this.buildSounds());
      for (const { summary, html } of this.tables) {
        const table = element('div');
        // Made and escaped by SpeechLens.
        table.innerHTML = html;
        this.box.append(element('details', {}, element('summary', {}, summary), table));
      }
      this.canvas.addEventListener('pointermove', event => {
        const { left, top } = this.canvas.getBoundingClientRect();
        this.point(event.clientX - left, event.clientY - top);
      });
      this.canvas.addEventListener('pointerleave', () => { this.cursor = null; this.draw(); this.link?.leave(); });
      this.canvas.addEventListener('keydown', event => {
        const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
        if (!step) return;
        event.preventDefault();
        const [column, row] = this.cursor ?? [this.columns >> 1, this.rows >> 1];
        const far = event.shiftKey ? 10 : 1;
        this.cursor = [clamp(column + step[0] * far, 0, this.columns - 1), clamp(row + step[1] * far, 0, this.rows - 1)];
        this.draw();
        this.read();
      });
    }

    /// The two questions, one of which is answered.
    buildQuestions() {
      const buttons = [this.first, this.other].map((asked, place) => {
        const button = element('button', { type: 'button', 'aria-pressed': place === 0 }, asked.question);
        button.addEventListener('click', () => {
          for (const other of buttons) other.setAttribute('aria-pressed', other === button);
          this.answer(asked);
          this.accounts.textContent = accounts(this.account);
          const scale = this.buildScale();
          this.scale.replaceWith(scale);
          this.scale = scale;
          // Sound lets hear what is there; what is missing has none. The test is of the first question.
          for (const part of [this.listing, this.test]) if (part) part.hidden = place > 0;
          this.cursor = null;
          this.redraw();
        });
        return button;
      });
      return element('div', { class: 'questions', role: 'group', 'aria-label': 'the question' }, ...buttons);
    }

    /// What the colours stand for.
    buildScale() {
      this.colours = element('i');
      const beyond = this.sorted[0] < -this.limit || this.sorted[this.sorted.length - 1] > this.limit;
      const [least, most] = beyond ? ['≤ ', '≥ '] : ['', ''];
      const end = significant(this.limit);
      return element('div', { class: 'scale' }, 'relevance', element('span', {}, `${least}−${end}`), this.colours, element('span', {}, `${most}${end}`));
    }

    drawScale() {
      const at = t => `rgb(${mix(grey(0.3), this.colour(t), view.opacity * Math.sqrt(Math.abs(t))).map(Math.round).join(' ')})`;
      const stops = Array.from({ length: 21 }, (_, i) => at(i / 10 - 1));
      this.colours.style.background = `linear-gradient(to right, ${stops.join(', ')})`;
    }

    /// What the network says of each frame: a row of bars for each class, under the picture.
    buildStrip() {
      this.strip.values = floats(this.strip.values);
      this.frame = null;
      const canvas = element('canvas', { class: 'frames', tabindex: '0', role: 'img', 'aria-label':
        `What the network says of each frame: ${this.strip.classes.join(', ')}. Arrow keys move from frame to frame.` });
      const { starts } = this.strip;
      const show = place => { this.frame = clamp(place, 0, starts.length - 1); this.drawStrip(); this.readFrame(); };
      const point = event => {
        const { x, width } = this.frameOf(), [start, end] = this.span();
        const time = start + (event.clientX - canvas.getBoundingClientRect().left - x) / width * (end - start);
        const found = starts.findLastIndex(from => from <= time);
        if (found >= 0 && time <= starts[found] + this.strip.step) show(found);
      };
      canvas.addEventListener('pointermove', point);
      canvas.addEventListener('pointerdown', point);
      canvas.addEventListener('pointerleave', () => { this.frame = null; this.drawStrip(); });
      canvas.addEventListener('keydown', event => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        show((this.frame ?? starts.length >> 1) + step);
      });
      canvas.addEventListener('click', () => this.frame !== null && canvas.dispatchEvent(new CustomEvent('frame', { bubbles: true, detail: this.frame % this.strip.frames })));
      return canvas;
    }

    readFrame() {
      const { classes, starts, step, frames, values } = this.strip;
      const says = classes.map((name, row) => `${name} ${(100 * values[row * starts.length + this.frame]).toFixed(1)} %`);
      const from = starts[this.frame];
      this.readout.textContent = `frame ${this.frame % frames}, ${from.toFixed(3)}–${(from + step).toFixed(3)} s: ${says.join(', ')}. ${asking(this.frame % frames)}`;
    }

    drawStrip() {
      if (!this.frames) return;
      const { classes, starts, step, frames, asked, values } = this.strip;
      const { x, width } = this.frameOf(), [start, end] = this.span();
      const context = prepared(this.frames, classes.length * (STRIP + 10) + 4);
      const at = time => x + (time - start) / (end - start) * width;
      const [pointed, own, other] = ['--ink', '--series-1', '--muted'].map(css);
      classes.forEach((name, row) => {
        const top = 2 + row * (STRIP + 10);
        starts.forEach((from, place) => {
          const number = place % frames, isAsked = number >= asked[0] && number < asked[1];
          const left = at(from), right = Math.min(x + width, at(from + step));
          const height = values[row * starts.length + place] * STRIP;
          context.fillStyle = place === this.frame ? pointed : isAsked ? own : other;
          context.globalAlpha = isAsked || place === this.frame ? 1 : 0.55;
          context.fillRect(left, top + STRIP - height, Math.max(0.5, right - left), height);
        });
        context.globalAlpha = 1;
        context.strokeStyle = css('--muted');
        context.strokeRect(x - 0.5, top - 0.5, width + 1, STRIP + 1);
        context.fillStyle = css('--ink');
        context.textAlign = 'right';
        context.textBaseline = 'middle';
        context.fillText('100 %', x - 7, top + 5);
        context.fillText('0', x - 7, top + STRIP - 4);
        context.textAlign = 'left';
        context.fillText(name, x + width + 7, top + STRIP / 2, MARGIN.right - 8);
      });
    }

    /// What was tested on this very input.
    buildWorth() {
      const { verdict, about, tested, svg } = this.worth;
      const chart = element('div', { class: 'picture' });
      // Made and escaped by SpeechLens.
      chart.innerHTML = svg;
      const words = element('div', {}, element('h3', {}, 'What is this picture worth?'), element('p', {}, verdict), element('p', { class: 'about' }, about), ...tested.map((text) => element('p', {}, text)));
      return this.test = element('section', { class: 'worth' }, words, chart);
    }

    buildSounds() {
      const list = element('ul', { class: 'sounds' });
      for (const { name, about, wav } of this.sounds) {
        const source = URL.createObjectURL(new Blob([bytes(wav)], { type: 'audio/wav' }));
        const audio = element('audio', { controls: '', preload: 'metadata', src: source, 'aria-label': name });
        const follow = () => {
          this.showHead(audio.currentTime);
          if (!audio.paused && !audio.ended) requestAnimationFrame(follow);
        };
        audio.addEventListener('play', () => {
          for (const other of document.querySelectorAll('audio')) if (other !== audio) other.pause();
          follow();
        });
        audio.addEventListener('seeked', follow);
        audio.addEventListener('ended', () => { this.head.style.display = 'none'; });
        list.append(element('li', {}, element('strong', {}, name), element('span', {}, about), audio));
      }
      return list;
    }

    /// Where the plot lies in its canvas, in CSS pixels.
    frameOf() {
      const width = this.canvas.clientWidth;
      return { x: MARGIN.left, y: MARGIN.top, width: Math.max(20, width - MARGIN.left - MARGIN.right), height: HEIGHT };
    }

    /// The edges of the picture in seconds.
    span() {
      const [first, step] = this.times;
      return [first - step / 2, first + step * (this.columns - 0.5)];
    }

    showHead(seconds) {
      const { x, y, width, height } = this.frameOf();
      const [start, end] = this.span();
      const share = (seconds - start) / (end - start);
      this.head.style.display = share >= 0 && share <= 1 ? 'block' : 'none';
      this.head.style.left = `${x + share * width - 1}px`;
      this.head.style.top = `${y}px`;
      this.head.style.height = `${height}px`;
    }

    point(x, y) {
      const frame = this.frameOf();
      const column = Math.floor((x - frame.x) / frame.width * this.columns);
      const row = this.rows - 1 - Math.floor((y - frame.y) / frame.height * this.rows);
      const inside = column >= 0 && column < this.columns && row >= 0 && row < this.rows;
      this.cursor = inside ? [column, row] : null;
      this.draw();
      if (inside) this.read();
    }

    read() {
      const [column, row] = this.cursor;
      this.link?.ask(this, this.times[0] + this.times[1] * column);
      const index = row * this.columns + column;
      const r = this.relevance[index];
      let low = 0, high = this.sorted.length;
      while (low < high) { const middle = (low + high) >> 1; if (this.sorted[middle] <= r) low = middle + 1; else high = middle; }
      const above = 100 * (this.sorted.length - low + 1) / this.sorted.length;
      const place = [`${(this.times[0] + this.times[1] * column).toFixed(3)} s`];
      if (!this.isWaveform) place.push(`${Math.round(this.frequencies[row])} Hz`);
      const rank = r > 0 ? `, among the top ${significant(above)} %` : '';
      this.readout.textContent = `${place.join(', ')}: ${this.unit} ${significant(this.levels[index])}, relevance ${r > 0 ? '+' : ''}${significant(r)}${rank}`;
    }

    /// How opaque a relevance is drawn, 0 to 1.
    strength(r) {
      const share = Math.min(1, Math.abs(r) / this.limit);
      if (share < view.threshold) return 0;
      if (view.top < 100 && !(r > 0 && r >= this.cut())) return 0;
      return view.opacity * Math.sqrt(share);
    }

    /// The least relevance among the top.
    cut() {
      const count = Math.max(1, Math.round(this.sorted.length * view.top / 100));
      return this.sorted[this.sorted.length - count];
    }

    colour(r) {
      return PALETTES[view.palette][r > 0 ? 0 : 1];
    }

    /// One pixel a bin; of a long recording one for several neighbours in time, as the most relevant of them.
    paint() {
      const step = Math.ceil(this.columns / WIDEST), width = Math.ceil(this.columns / step);
      const image = new ImageData(width, this.rows);
      const range = this.loudest - this.lowest || 1;
      for (let row = 0; row < this.rows; row++) {
        for (let column = 0; column < width; column++) {
          let index = row * this.columns + column * step;
          const end = Math.min(index + step, (row + 1) * this.columns);
          for (let i = index + 1; i < end; i++) if (Math.abs(this.relevance[i]) > Math.abs(this.relevance[index])) index = i;
          const r = this.relevance[index];
          const pixel = mix(grey((this.levels[index] - this.lowest) / range), this.colour(r), this.strength(r));
          const at = 4 * ((this.rows - 1 - row) * width + column);
          image.data.set([...pixel, 255], at);
        }
      }
      this.bins ??= document.createElement('canvas');
      [this.bins.width, this.bins.height] = [width, this.rows];
      this.bins.getContext('2d').putImageData(image, 0, 0);
    }

    /// The samples under each pixel, in the colour of what they add up to.
    trace(context, frame) {
      context.fillStyle = '#fff';
      context.fillRect(frame.x, frame.y, frame.width, frame.height);
      const reach = Math.max(Math.abs(this.lowest), Math.abs(this.loudest)) || 1;
      const y = level => frame.y + frame.height / 2 * (1 - level / reach);
      for (let pixel = 0; pixel < frame.width; pixel++) {
        const from = Math.floor(pixel / frame.width * this.columns);
        const to = Math.max(from + 1, Math.floor((pixel + 1) / frame.width * this.columns));
        let low = Infinity, high = -Infinity, sum = 0;
        for (let i = from; i < to; i++) {
          low = Math.min(low, this.levels[i]); high = Math.max(high, this.levels[i]);
          sum += this.strength(this.relevance[i]) > 0 ? this.relevance[i] : 0;
        }
        const colour = mix([0xc9, 0xcd, 0xd2], this.colour(sum), this.strength(sum / Math.sqrt(to - from)));
        context.fillStyle = `rgb(${colour.join(' ')})`;
        context.fillRect(frame.x + pixel, y(high), 1, Math.max(1, y(low) - y(high)));
      }
      this.reach = reach;
    }

    draw() {
      if (this.canvas.clientWidth === 0) return;
      const context = prepared(this.canvas, MARGIN.top + HEIGHT + MARGIN.bottom);
      const frame = this.frameOf();
      if (this.isWaveform) {
        this.trace(context, frame);
      } else {
        if (!this.bins) this.paint();
        context.imageSmoothingEnabled = false;
        context.drawImage(this.bins, frame.x, frame.y, frame.width, frame.height);
      }
      this.drawScale();
      if (this.echo) this.drawEcho(context, frame);
      this.drawAxes(context, frame);
      this.drawEdges(context, frame);
      this.drawCursor(context, frame);
      this.drawStrip();
    }

    drawAxes(context, { x, y, width, height }) {
      context.strokeStyle = css('--muted');
      context.fillStyle = css('--ink');
      context.lineWidth = 1;
      context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
      const [start, end] = this.span();
      context.textAlign = 'center';
      context.textBaseline = 'top';
      for (const tick of ticks(Math.max(0, start), end, width / 80)) {
        const at = x + (tick - start) / (end - start) * width;
        context.fillRect(at - 0.5, y + height, 1, 4);
        context.fillText(String(tick), at, y + height + 7);
      }
      context.fillText('time (s)', x + width / 2, y + height + 25);
      context.textAlign = 'right';
      context.textBaseline = 'middle';
      for (const [share, label] of this.verticalTicks()) {
        const at = y + height * (1 - share);
        context.fillRect(x - 4, at - 0.5, 4, 1);
        context.fillText(label, x - 7, at);
      }
      context.save();
      context.translate(11, y + height / 2);
      context.rotate(-Math.PI / 2);
      context.textAlign = 'center';
      context.fillText(this.isWaveform ? this.unit : 'frequency (Hz)', 0, 0);
      context.restore();
    }

    /// Shares of the height and what stands there.
    verticalTicks() {
      if (this.isWaveform) return ticks(-this.reach, this.reach, 4).map(t => [(t / this.reach + 1) / 2, String(t)]);
      const f = this.frequencies, last = f.length - 1;
      const even = Math.abs((f[1] - f[0]) - (f[last] - f[last - 1])) < 1e-6 * f[last];
      const values = even ? ticks(f[0], f[last], 5) : [63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000];
      const places = values.filter(v => v >= f[0] && v <= f[last]).map(value => {
        const after = Math.max(1, f.findIndex(at => at >= value));
        const row = after - 1 + (value - f[after - 1]) / (f[after] - f[after - 1]);
        return [(row + 0.5) / f.length, String(value)];
      });
      // From above, those that have room.
      let above = Infinity;
      return places.reverse().filter(([share]) => above - share >= NEAREST && (above = share, true));
    }

    /// Relevance by time above the picture, by frequency beside it.
    drawEdges(context, { x, y, width, height }) {
      const [plus, minus] = PALETTES[view.palette].map(colour => `rgb(${colour.join(' ')})`);
      const room = MARGIN.top - 16, middle = 8 + room / 2;
      const binned = (sums, count, pixels, draw) => {
        for (let pixel = 0; pixel < pixels; pixel++) {
          const from = Math.floor(pixel / pixels * count), to = Math.max(from + 1, Math.floor((pixel + 1) / pixels * count));
          let up = 0, down = 0;
          for (let i = from; i < to; i++) { up = Math.max(up, sums.up[i]); down = Math.min(down, sums.down[i]); }
          draw(pixel, up / sums.most, down / sums.most);
        }
      };
      binned(this.byTime, this.columns, width, (pixel, up, down) => {
        context.fillStyle = plus; context.fillRect(x + pixel, middle - up * room / 2, 1, up * room / 2);
        context.fillStyle = minus; context.fillRect(x + pixel, middle, 1, -down * room / 2);
      });
      context.fillStyle = css('--muted');
      context.fillRect(x, middle, width, 0.5);
      context.textAlign = 'left';
      context.textBaseline = 'middle';
      if (this.isWaveform) return;
      const side = MARGIN.right - 16, centre = x + width + 8 + side / 2;
      binned(this.byFrequency, this.rows, height, (pixel, up, down) => {
        const at = y + height - pixel - 1;
        context.fillStyle = plus; context.fillRect(centre, at, up * side / 2, 1);
        context.fillStyle = minus; context.fillRect(centre + down * side / 2, at, -down * side / 2, 1);
      });
      context.fillStyle = css('--muted');
      context.fillRect(centre, y, 0.5, height);
      context.font = '11px system-ui, sans-serif';
      context.textAlign = 'center';
      context.fillText('sums', x + width + MARGIN.right / 2, middle);
    }

    /// How each moment answers to the one that is pointed at in the other picture.
    drawEcho(context, { x, y, width, height }) {
      const { at, times: [first, step], limit } = this.echo;
      const [start, end] = this.span();
      for (let pixel = 0; pixel < width; pixel++) {
        const seconds = start + (pixel + 0.5) / width * (end - start);
        const r = at(Math.round((seconds - first) / step));
        context.fillStyle = `rgb(${this.colour(r).join(' ')} / ${0.6 * Math.sqrt(Math.min(1, Math.abs(r) / limit))})`;
        context.fillRect(x + pixel, y, 1, height);
      }
    }

    drawCursor(context, { x, y, width, height }) {
      if (!this.cursor) return;
      const [column, row] = this.cursor;
      context.strokeStyle = '#000';
      context.globalAlpha = 0.5;
      context.beginPath();
      const at = x + (column + 0.5) / this.columns * width, up = y + height * (1 - (row + 0.5) / this.rows);
      context.moveTo(at, y); context.lineTo(at, y + height);
      if (!this.isWaveform) { context.moveTo(x, up); context.lineTo(x + width, up); }
      context.stroke();
      context.globalAlpha = 1;
    }

    redraw() {
      this.bins = null;
      this.draw();
    }
  }

  /// How the moments of two pictures answer to each other: a square of the one's time across and the other's upwards.
  class Link {
    constructor([one, other], { times, relevance, columns, limit }) {
      Object.assign(this, { plots: [one, other], times, columns, limit, relevance: floats(relevance) });
      this.rows = this.relevance.length / columns;
      one.link = other.link = this;
      this.canvas = element('canvas', { role: 'img', 'aria-label': 'which moment of one recording answers to which of the other' });
      this.readout = element('p', { class: 'readout', 'aria-live': 'polite' }, 'Point at a moment here or in either picture.');
      this.box = element('figure', { class: 'exhibit' }, element('h2', {}, 'Which moment answers to which'), element('div', { class: 'plot' }, this.canvas), this.readout);
      this.canvas.addEventListener('pointermove', event => {
        const { left, top } = this.canvas.getBoundingClientRect();
        const { x, y, size } = this.frame();
        const row = Math.floor((event.clientX - left - x) / size * this.rows);
        const column = this.columns - 1 - Math.floor((event.clientY - top - y) / size * this.columns);
        if (row < 0 || row >= this.rows || column < 0 || column >= this.columns) return this.leave();
        this.cursor = [row, column];
        this.show(true, true);
      });
      this.canvas.addEventListener('pointerleave', () => this.leave());
    }

    redraw() {
      this.draw();
    }

    at(row, column) {
      return row < 0 || row >= this.rows || column < 0 || column >= this.columns ? 0 : this.relevance[row * this.columns + column];
    }

    seconds(side, moment) {
      const [first, step] = this.times[side];
      return first + step * moment;
    }

    /// A picture is pointed at: the other shows how it answers.
    ask(plot, seconds) {
      const side = this.plots.indexOf(plot);
      const [first, step] = this.times[side];
      const moment = clamp(Math.round((seconds - first) / step), 0, [this.rows, this.columns][side] - 1);
      this.cursor = side === 0 ? [moment, null] : [null, moment];
      this.show(side === 1, side === 0);
    }

    /// Shows in one picture and the other what answers to the cursor.
    show(inOne, inOther) {
      const [row, column] = this.cursor;
      const echo = (side, at) => ({ at, times: this.times[side], limit: this.limit });
      const echoes = [inOne ? echo(0, moment => this.at(moment, column)) : null, inOther ? echo(1, moment => this.at(row, moment)) : null];
      echoes.forEach((found, side) => {
        const changed = found || this.plots[side].echo;
        this.plots[side].echo = found;
        if (changed) this.plots[side].draw();
      });
      const place = (side, moment) => `${this.seconds(side, moment).toFixed(2)} s of the ${side === 0 ? 'first' : 'second'}`;
      this.readout.textContent = row === null ? `${place(1, column)} is pointed at; the first shows how it answers.`
        : column === null ? `${place(0, row)} is pointed at; the second shows how it answers.`
        : `${place(0, row)} and ${place(1, column)}: relevance ${significant(this.at(row, column))}`;
      this.draw();
    }

    leave() {
      this.cursor = null;
      for (const plot of this.plots) if (plot.echo) { plot.echo = null; plot.draw(); }
      this.draw();
    }

    frame() {
      return { x: MARGIN.left, y: 8, size: Math.max(20, Math.min(this.canvas.clientWidth - MARGIN.left - 12, 420)) };
    }

    paint() {
      const image = new ImageData(this.rows, this.columns);
      for (let row = 0; row < this.rows; row++) {
        for (let column = 0; column < this.columns; column++) {
          const r = this.at(row, column);
          const pixel = mix([0xff, 0xff, 0xff], PALETTES[view.palette][r > 0 ? 0 : 1], Math.sqrt(Math.min(1, Math.abs(r) / this.limit)));
          image.data.set([...pixel, 255], 4 * ((this.columns - 1 - column) * this.rows + row));
        }
      }
      this.bins = document.createElement('canvas');
      [this.bins.width, this.bins.height] = [this.rows, this.columns];
      this.bins.getContext('2d').putImageData(image, 0, 0);
    }

    draw() {
      if (this.canvas.clientWidth === 0) return;
      const { x, y, size } = this.frame(), ratio = window.devicePixelRatio || 1;
      const height = y + size + MARGIN.bottom;
      this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.height = `${height}px`;
      const context = this.canvas.getContext('2d');
      context.scale(ratio, ratio);
      context.font = '12px system-ui, sans-serif';
      if (this.palette !== view.palette) { this.palette = view.palette; this.paint(); }
      context.imageSmoothingEnabled = false;
      context.drawImage(this.bins, x, y, size, size);
      context.strokeStyle = css('--muted');
      context.fillStyle = css('--ink');
      context.strokeRect(x - 0.5, y - 0.5, size + 1, size + 1);
      const edges = side => { const half = this.times[side][1] / 2; return [this.seconds(side, 0) - half, this.seconds(side, [this.rows, this.columns][side] - 1) + half]; };
      const marks = side => { const [start, end] = edges(side); return ticks(Math.max(0, start), end, size / 80).map(tick => [(tick - start) / (end - start), String(tick)]); };
      context.textAlign = 'center';
      context.textBaseline = 'top';
      for (const [share, label] of marks(0)) { context.fillRect(x + share * size - 0.5, y + size, 1, 4); context.fillText(label, x + share * size, y + size + 7); }
      context.fillText('time in the first (s)', x + size / 2, y + size + 25);
      context.textAlign = 'right';
      context.textBaseline = 'middle';
      for (const [share, label] of marks(1)) { context.fillRect(x - 4, y + size * (1 - share) - 0.5, 4, 1); context.fillText(label, x - 7, y + size * (1 - share)); }
      context.save();
      context.translate(11, y + size / 2);
      context.rotate(-Math.PI / 2);
      context.textAlign = 'center';
      context.fillText('time in the second (s)', 0, 0);
      context.restore();
      if (!this.cursor) return;
      const [row, column] = this.cursor;
      context.globalAlpha = 0.5;
      context.fillStyle = '#000';
      if (row !== null) context.fillRect(x + (row + 0.5) / this.rows * size, y, 1, size);
      if (column !== null) context.fillRect(x, y + size * (1 - (column + 0.5) / this.columns), size, 1);
    }
  }

  function slider(name, title, attributes, show, change) {
    const output = element('output');
    const input = element('input', { type: 'range', name, ...attributes });
    const update = () => { output.textContent = show(Number(input.value)); };
    input.addEventListener('input', () => { update(); change(Number(input.value)); figures.forEach(figure => figure.redraw()); });
    update();
    return element('label', {}, element('span', {}, `${title} `, output), input);
  }

  function controls() {
    const percent = value => `${significant(value)} %`;
    // By powers of ten, since the first percent is where most is to be seen.
    const share = value => 10 ** (value / 100);
    const palette = element('select', { name: 'palette' }, ...Object.keys(PALETTES).map(name => element('option', {}, name)));
    palette.value = view.palette;
    palette.addEventListener('change', () => { view.palette = palette.value; figures.forEach(figure => figure.redraw()); });
    return element('div', { class: 'controls' },
      slider('opacity', 'Opacity', { min: 0, max: 100, value: 100 * view.opacity }, percent, value => { view.opacity = value / 100; }),
      slider('threshold', 'Hide below', { min: 0, max: 95, value: 100 * view.threshold }, percent, value => { view.threshold = value / 100; }),
      slider('top', 'Top bins', { min: -100, max: 200, value: 100 * Math.log10(view.top) }, value => value >= 200 ? 'all' : percent(share(value)),
        value => { view.top = value >= 200 ? 100 : share(value); }),
      element('label', {}, 'Colours (for, against)', palette));
  }

  function show(data, into = document.getElementById('exhibit')) {
    figures = data.figures.map(figure => new Plot(figure));
    const link = data.link ? new Link(figures, data.link) : null;
    const answers = element('div', { class: 'answers', role: 'list', 'aria-label': 'what the network answers' });
    for (const { name, says, share, cosine } of data.answers) {
      const bar = element('span', share === null && cosine === null ? {} : { class: 'bar' }, element('i'));
      if (cosine !== null) {
        // From the middle, which is 0, to the left or to the right.
        bar.classList.add('both');
        bar.firstChild.style.marginLeft = `${50 + 50 * Math.min(0, cosine)}%`;
      }
      bar.firstChild.style.width = `${cosine === null ? 100 * share : 50 * Math.abs(cosine)}%`;
      answers.append(element('span', {}, name), bar, element('span', {}, says));
    }
    const facts = element('dl', { class: 'facts' }, ...data.facts.map(([name, value]) =>
      element('div', {}, element('dt', {}, name), element('dd', {}, value))));
    const warnings = data.warnings.map(text => element('p', { class: 'note warning' }, element('strong', {}, 'Caution: '), text));
    into.replaceChildren(element('h1', {}, data.title), element('p', { class: 'lead' }, data.lead), answers, ...warnings, controls(),
      element('div', { class: `figures${figures.length > 1 ? ' several' : ''}` }, ...figures.map(figure => figure.box)), ...(link ? [element('div', { class: 'figures linked' }, link.box)] : []), facts);
    if (link) figures.push(link);
    figures.forEach(figure => figure.draw());
  }

  window.addEventListener('resize', () => figures.forEach(figure => figure.draw()));
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => figures.forEach(figure => figure.draw()));
  if (embedded) show(JSON.parse(embedded.textContent));
  return { show, element };
})();
