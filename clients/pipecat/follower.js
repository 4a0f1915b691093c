// What the face looks like now, from posetalk's messages and the clock of the sound's RTP packets.

const RTP_RATE = 48000; // of Opus
const FRAME = 0.04; // seconds; a frame belongs to the middle of its sound
const WEIGHTS = 52;
const KEPT = 200; // milliseconds of readings of the clock
const ASK = 250; // milliseconds between two looks at the jitter buffer
const ON_ITS_WAY = 0.025; // seconds: half a wait for the sender's clock, a packet, the codec
const CLOCKS = 2000; // milliseconds of them that count
const STOOD_STILL = 0.3; // seconds: the sound had to wait for its voice
const CLOSE = 0.05; // seconds in which a mouth closes that was cut
const REST = 0.25; // seconds in which it does after its last frame
const STILL = { weights: new Float32Array(WEIGHTS), rotation: [0, 0, 0], utterance: null, time: null };

// Which second of the sound's own time line is played, and which comes in.
export class SoundClock {
  constructor(receiver) {
    this.receiver = receiver;
    this.readings = [];
    this.wraps = 0;
    this.before = null;
    this.buffered = 0.06; // seconds that sound waits here before it is played
    this.counted = null;
    this.asked = -Infinity;
  }

  // Call it for each picture. `now` is that of `performance.now()`, as everywhere here.
  read(now) {
    const [source] = this.receiver.getSynchronizationSources();
    if (source?.rtpTimestamp !== undefined) {
      const played = this.unwrap(source.rtpTimestamp) / RTP_RATE;
      const { timestamp } = source;
      const at = timestamp > 1e12 ? timestamp - performance.timeOrigin : timestamp;
      this.readings.push({ at, shift: played - at / 1000 });
    }
    while (this.readings.length > 1 && this.readings[0].at < now - KEPT) this.readings.shift();
    if (now - this.asked > ASK) this.ask(now);
  }

  // Seconds of the sound that is played now; null before there is any. A packet is played in two
  // halves of ten milliseconds, and a reading may be of either.
  played(now) {
    if (!this.readings.length) return null;
    const sum = this.readings.reduce((total, { shift }) => total + shift, 0);
    return now / 1000 + sum / this.readings.length + 0.005;
  }

  // Seconds of the sound that the sender sends now.
  sent(now) {
    const played = this.played(now);
    return played === null ? null : played + this.buffered + ON_ITS_WAY;
  }

  unwrap(stamp) {
    if (this.before !== null && Math.abs(stamp - this.before) > 2 ** 31) {
      this.wraps += stamp < this.before ? 1 : -1;
    }
    this.before = stamp;
    return stamp + 2 ** 32 * this.wraps;
  }

  async ask(now) {
    this.asked = now;
    for (const report of (await this.receiver.getStats()).values()) {
      if (report.type !== "inbound-rtp") continue;
      const counted = [report.jitterBufferDelay, report.jitterBufferEmittedCount];
      const [delay, count] = this.counted ?? [0, 0];
      if (counted[1] > count) this.buffered = (counted[0] - delay) / (counted[1] - count);
      this.counted = counted;
    }
  }
}

export class Follower {
  constructor(clock) {
    this.clock = clock;
    this.utterances = new Map(); // number -> { begin, clocks, frames, ended }
    this.shown = STILL;
    this.cutAt = null;
    this.cutFrom = null;
  }

  // A message of the processor's: the `data` of RTVI's `server-message`.
  take(data, now) {
    if (!String(data?.type).startsWith("posetalk")) return;
    if (data.type === "posetalk-cut") {
      this.utterances.delete(data.utterance);
      [this.cutAt, this.cutFrom] = [now, this.shown];
      return;
    }
    const utterance = this.utterance(data.utterance);
    if (data.type === "posetalk-clock") this.place(utterance, data.t, now);
    else if (data.type === "posetalk-end") utterance.ended = true;
    else utterance.frames.push(frameOf(data));
  }

  // Its sound from second `time` on is sent now. A page that is busy hears of it late, and never
  // early: the earliest of late counts.
  place(utterance, time, now) {
    const sent = this.clock.sent(now);
    if (sent === null) return;
    const begin = sent - time;
    const stoodStill = begin - utterance.begin > STOOD_STILL;
    const recent = utterance.clocks.filter(({ at }) => !stoodStill && at > now - CLOCKS);
    utterance.clocks = [...recent, { at: now, begin }];
    utterance.begin = Math.min(...utterance.clocks.map((clock) => clock.begin));
  }

  // { weights, rotation, utterance, time }: as it looks now; `time` is that of the utterance's
  // sound, null where nobody speaks. The same object as before is the same picture.
  at(now) {
    this.pace = Math.min(100, now - (this.before ?? now));
    this.before = now;
    this.clock.read(now);
    const played = this.clock.played(now);
    this.shown = this.spoken(played) ?? this.silent(now);
    return this.shown;
  }

  spoken(played) {
    for (const [number, { begin, frames, ended }] of this.utterances) {
      if (begin === undefined || played === null || !frames.length) continue;
      const time = played - begin;
      const last = frames[frames.length - 1].time;
      if (ended && time > last + FRAME / 2 + REST) {
        this.utterances.delete(number);
        continue;
      }
      if (time < 0) continue; // it waits for its turn
      const place = Math.max(0, time - FRAME / 2);
      while (frames.length > 1 && frames[1].time <= place) frames.shift();
      const rest = Math.min(1, Math.max(0, (place - last) / REST));
      const shown = rest > 0 ? mixed(frames[0], STILL, rest) : between(frames, place);
      this.cutAt = null;
      return { ...shown, utterance: number, time };
    }
    return null;
  }

  // As it will be when the next picture comes: where pictures are slow, a mouth shuts at once.
  silent(now) {
    const share = this.cutAt === null ? 1 : (now + this.pace - this.cutAt) / 1000 / CLOSE;
    if (share >= 1) return STILL;
    return { ...STILL, ...mixed(this.cutFrom, STILL, share) };
  }

  utterance(number) {
    if (!this.utterances.has(number)) this.utterances.set(number, { frames: [], clocks: [] });
    return this.utterances.get(number);
  }
}

function frameOf({ t, w, r }) {
  const bytes = atob(w);
  const weights = Float32Array.from(bytes, (byte) => byte.charCodeAt(0) / 255);
  return { time: t, weights, rotation: r };
}

function between(frames, time) {
  const [first, second] = frames;
  if (!second || time <= first.time) return first;
  return mixed(first, second, Math.min(1, (time - first.time) / (second.time - first.time)));
}

function mixed(from, to, share) {
  const mix = (a, b) => a.map((value, k) => value + share * (b[k] - value));
  return { weights: mix(from.weights, to.weights), rotation: mix(from.rotation, to.rotation) };
}
