'use strict';
// The page of `speechlens serve`: a recording in, its explanation out.
(() => {
  const by = id => document.getElementById(id);
  const option = (value, text = value) => speechlens.element('option', { value }, text);
  const status = (text, wrong = false) => { by('status').textContent = text; by('status').classList.toggle('wrong', wrong); };
  let facts, recording, recorder;
  // Whether one is being explained, and whether the wish has changed since.
  let busy = false, changed = false;

  async function start() {
    facts = await (await fetch('/model')).json();
    const about = [facts.arch, facts.classes.length ? `${facts.classes.length} ${facts.task}` : facts.task];
    by('model').textContent = `explains ${facts.name} (${about.filter(Boolean).join(', ')})`;
    document.title = `SpeechLens: ${facts.name}`;
    for (const { name, summary } of facts.methods) {
      const made = option(name);
      made.title = summary;
      by('method').append(made);
      if (name !== 'lrp') by('beside').append(option(name));
    }
    for (const name of facts.rules) {
      by('rules').append(option(name));
      by('beside').append(option(`lrp:${name}`, `lrp ${name}`));
    }
    by('of-frames').hidden = facts.task !== 'frames';
    by('rules').value = facts.default_rules;
    by('classes').append(...facts.classes.map(name => option(name)));
  }

  function choose(blob, name) {
    if (blob.size > facts.bytes) {
      const megabytes = bytes => `${Number((bytes / 1e6).toPrecision(2))} MB`;
      status(`${name} is ${megabytes(blob.size)} large; at most ${megabytes(facts.bytes)} are taken. Cut it.`, true);
      return;
    }
    recording = { blob, name };
    by('chosen').textContent = `${name}, ${(blob.size / 1000).toFixed(0)} kB`;
    by('go').disabled = false;
    explain();
  }

  async function explain() {
    if (!recording) return;
    if (busy) { changed = true; return; }
    const method = by('method').value;
    const ways = [method === 'lrp' ? `lrp:${by('rules').value}` : method];
    if (by('beside').value && by('beside').value !== ways[0]) ways.push(by('beside').value);
    const wish = new URLSearchParams({ name: recording.name, ways, target: by('target').value, against: by('against').value, frames: by('frames').value });
    [busy, changed] = [true, false];
    by('go').disabled = true;
    const begun = Date.now();
    const tell = () => status(`Explaining ${recording.name} … ${Math.round((Date.now() - begun) / 1000)} s`);
    tell();
    const ticking = setInterval(tell, 1000);
    try {
      const answer = await fetch(`/explain?${wish}`, { method: 'POST', body: recording.blob });
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error);
      speechlens.show(found);
      status(`Done in ${((Date.now() - begun) / 1000).toFixed(1)} s.`);
    } catch (error) {
      status(error instanceof TypeError ? 'The server does not answer. Is `speechlens serve` still running?' : error.message, true);
    } finally {
      clearInterval(ticking);
      busy = false;
      by('go').disabled = false;
      if (changed) explain();
    }
  }

  /// 16-bit mono PCM.
  function wav(blocks, rate) {
    const samples = blocks.reduce((count, block) => count + block.length, 0);
    const view = new DataView(new ArrayBuffer(44 + 2 * samples));
    const text = (at, word) => [...word].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
    text(0, 'RIFF'); view.setUint32(4, 36 + 2 * samples, true); text(8, 'WAVEfmt ');
    view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
    view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
    text(36, 'data'); view.setUint32(40, 2 * samples, true);
    let at = 44;
    for (const block of blocks) for (const s of block) { view.setInt16(at, Math.max(-1, Math.min(1, s)) * 32767, true); at += 2; }
    return new Blob([view], { type: 'audio/wav' });
  }

  async function record() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    const context = new AudioContext();
    await context.audioWorklet.addModule('/recorder.js');
    const node = new AudioWorkletNode(context, 'recorder');
    const blocks = [];
    node.port.onmessage = ({ data }) => blocks.push(data);
    context.createMediaStreamSource(stream).connect(node);
    const begun = Date.now();
    const tell = setInterval(() => {
      const seconds = (Date.now() - begun) / 1000;
      by('chosen').textContent = `Recording … ${seconds.toFixed(0)} of at most ${facts.seconds} s`;
      if (seconds >= facts.seconds - 0.5) stop();
    }, 250);
    const stop = () => {
      clearInterval(tell);
      stream.getTracks().forEach(track => track.stop());
      context.close();
      recorder = null;
      by('record').textContent = 'record';
      by('record').classList.remove('on');
      const name = `recording ${new Date().toTimeString().slice(0, 8)}.wav`;
      if (blocks.length) choose(wav(blocks, context.sampleRate), name);
      else by('chosen').textContent = 'The microphone gave no sound.';
    };
    recorder = stop;
    by('record').textContent = 'stop';
    by('record').classList.add('on');
  }

  by('file').addEventListener('change', () => { const [file] = by('file').files; if (file) choose(file, file.name); by('file').value = ''; });
  by('record').addEventListener('click', () => recorder ? recorder() : record().catch(error => status(`The microphone cannot be used: ${error.message}`, true)));
  by('ask').addEventListener('submit', event => { event.preventDefault(); explain(); });
  by('method').addEventListener('change', () => { by('rules').disabled = by('method').value !== 'lrp'; explain(); });
  for (const id of ['rules', 'beside', 'target', 'against', 'frames']) by(id).addEventListener('change', explain);
  // A frame that is clicked is asked about.
  by('exhibit').addEventListener('frame', ({ detail }) => { by('frames').value = `${detail}..${detail + 1}`; explain(); });
  const drop = by('drop');
  for (const kind of ['dragenter', 'dragover']) drop.addEventListener(kind, event => { event.preventDefault(); drop.classList.add('over'); });
  for (const kind of ['dragleave', 'drop']) drop.addEventListener(kind, event => { event.preventDefault(); drop.classList.remove('over'); });
  drop.addEventListener('drop', event => { const [file] = event.dataTransfer.files; if (file) choose(file, file.name); });
  start().catch(() => status('The server does not answer. Is `speechlens serve` still running?', true));
})();
