/** A client of posetalk that reconnects by itself. */

import { EventEmitter } from "node:events";
import WebSocket from "ws";
import {
  type ChannelSet, type ClientText, type Hello, PROTOCOL, SAMPLE_RATE, type ServerText, WireError, decode,
  encodeSound, parseText,
} from "./wire.js";

export * from "./wire.js";

/** One frame of motion. */
export class Frame {
  constructor(
    readonly set: ChannelSet,
    readonly sequence: number,
    /** Index of its first sample of sound, at 16 kHz. */
    readonly sample: number,
    readonly values: Float32Array,
    private readonly index: ReadonlyMap<string, number>,
  ) {}

  /** When it is shown, on the clock of the sound. */
  get seconds(): number {
    return this.sample / SAMPLE_RATE;
  }

  /** A channel by name; throws a RangeError for one that the set does not have. */
  get(name: string): number {
    const at = this.index.get(name);
    if (at === undefined) throw new RangeError(`no channel ${name} in ${this.set}`);
    return this.values[at]!;
  }

  /** All channels by name. */
  byName(): Record<string, number> {
    return Object.fromEntries([...this.index].map(([name, at]) => [name, this.values[at]!]));
  }
}

/** What the server refuses, or why it cannot be used; `code` is the protocol's. */
export class PosetalkError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly fatal: boolean,
  ) {
    super(message);
    this.name = "PosetalkError";
  }
}

export interface Options {
  url?: string;
  set?: ChannelSet | "";
  audio?: boolean;
  token?: string;
  reconnect?: boolean;
  /** Options of `ws`, a certificate authority for instance. */
  websocket?: WebSocket.ClientOptions;
}

export interface Events {
  hello: [Hello];
  frame: [Frame];
  /** Triangles, with `vertices`: corners from index `first` on. */
  faces: [first: number, corners: Uint32Array];
  sound: [sample: number, samples: Float32Array];
  text: [ServerText];
  error: [PosetalkError];
  /** The connection is gone; with `reconnect` it is tried again. */
  lost: [];
  end: [];
}

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 4000;
const SILENT_AFTER_MS = 20_000;

export class PosetalkClient extends EventEmitter<Events> {
  hello: Hello | null = null;
  private socket: WebSocket | null = null;
  private subscription: { set: ChannelSet | ""; audio: boolean };
  private rate = SAMPLE_RATE;
  private pushed = 0;
  private wait = FIRST_WAIT_MS;
  private timer: NodeJS.Timeout | null = null;
  private watchdog: NodeJS.Timeout | null = null;
  private closed = false;
  private indices = new Map<string, ReadonlyMap<string, number>>();

  constructor(private readonly options: Options = {}) {
    super();
    this.subscription = { set: options.set ?? "flame", audio: options.audio ?? false };
    this.connect();
  }

  /** Get another set of channels from now on, and after every reconnection. */
  subscribe(set: ChannelSet | "", audio = false): void {
    this.subscription = { set, audio };
    this.say({ type: "subscribe", protocol: PROTOCOL, set, audio, json: false });
  }

  /** Have this sound spoken: mono, floats in -1..1 or 16 bit. False where nobody is connected. */
  push(samples: Float32Array | Int16Array, rate: number = SAMPLE_RATE): boolean {
    if (rate !== this.rate && this.say({ type: "audio_format", sample_rate: rate })) this.rate = rate;
    const step = Math.max(1, Math.floor(rate / 2));
    for (let start = 0; start < samples.length; start += step) {
      if (!this.send(encodeSound(samples.subarray(start, start + step), this.pushed++))) return false;
    }
    return true;
  }

  /** Be silent now; in a session of one's own, from the sample `at` on. */
  interrupt(at?: number): void {
    this.say(at === undefined ? { type: "interrupt" } : { type: "interrupt", at });
  }

  /** Speak in another style; the error `no_such_style` comes as an event. */
  style(name: string): void {
    this.say({ type: "style", name });
  }

  /** Get a session of one's own; `opened` or an error comes as an event. Lost with the connection. */
  open(options: { style?: string; seed?: number; pace?: "fast" | "live"; alive?: boolean } = {}): void {
    this.say({ type: "open", protocol: PROTOCOL, ...options });
  }

  /** Any other message of the protocol; false where nobody is connected. */
  say(message: ClientText): boolean {
    return this.send(JSON.stringify(message));
  }

  /** Leave, for good. */
  close(): void {
    this.closed = true;
    if (this.timer !== null) clearTimeout(this.timer);
    if (this.watchdog !== null) clearTimeout(this.watchdog);
    this.socket?.close();
  }

  private send(data: string | Uint8Array): boolean {
    if (this.socket === null || this.socket.readyState !== WebSocket.OPEN || this.hello === null) return false;
    this.socket.send(data);
    return true;
  }

  private connect(): void {
    const headers = this.options.token === undefined ? {} : { Authorization: `Bearer ${this.options.token}` };
    const socket = new WebSocket(this.options.url ?? "ws://127.0.0.1:8765", {
      perMessageDeflate: false,
      handshakeTimeout: 10_000,
      ...this.options.websocket,
      headers: { ...headers, ...this.options.websocket?.headers },
    });
    socket.binaryType = "nodebuffer";
    this.socket = socket;
    this.hello = null;
    this.rate = SAMPLE_RATE;
    socket.on("message", (data, binary) => this.receive(data as Buffer, binary));
    socket.on("ping", () => this.isAlive());
    socket.on("unexpected-response", (_request, response) => {
      this.giveUp(new PosetalkError("refused", `the server refused: HTTP ${response.statusCode}`, true));
    });
    socket.on("error", () => undefined); // `close` follows
    socket.on("close", () => this.lost());
  }

  private receive(data: Buffer, binary: boolean): void {
    this.isAlive();
    try {
      if (binary) this.receiveBinary(data);
      else this.receiveText(data.toString("utf8"));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.giveUp(new PosetalkError(error.code, error.message, true));
    }
  }

  private receiveBinary(data: Uint8Array): void {
    const message = decode(data);
    if (message.kind === "motion") {
      if (message.set !== this.subscription.set) return; // sent before the server had read our request
      const index = this.indices.get(message.set) ?? new Map<string, number>();
      this.emit("frame", new Frame(message.set, message.sequence, message.sample, message.values, index));
    } else if (message.kind === "sound") {
      this.emit("sound", message.sample, message.samples);
    } else if (message.kind === "faces") {
      this.emit("faces", message.first, message.corners);
    }
  }

  private receiveText(text: string): void {
    const message = parseText(text);
    if (message === null) return;
    if (message.type === "hello") {
      this.hello = message;
      this.wait = FIRST_WAIT_MS;
      this.indices = new Map(
        Object.entries(message.channels).map(([set, names]) => [set, new Map(names.map((name, at) => [name, at]))]),
      );
      this.emit("hello", message);
      this.subscribe(this.subscription.set, this.subscription.audio);
      return;
    }
    this.emit("text", message);
    if (message.type === "end") this.emit("end");
    if (message.type === "error") this.complain(new PosetalkError(message.code, message.message, message.fatal));
  }

  /** A server pings every few seconds: one that is silent for long is gone. */
  private isAlive(): void {
    if (this.watchdog !== null) clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.socket?.terminate(), SILENT_AFTER_MS);
  }

  private lost(): void {
    if (this.watchdog !== null) clearTimeout(this.watchdog);
    this.hello = null;
    this.emit("lost");
    if (this.closed || this.options.reconnect === false) return;
    this.timer = setTimeout(() => this.connect(), this.wait);
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
  }

  /** Trying again would not help. */
  private giveUp(error: PosetalkError): void {
    this.closed = true;
    this.socket?.terminate();
    this.complain(error);
  }

  private complain(error: PosetalkError): void {
    if (this.listenerCount("error") > 0) this.emit("error", error);
    else console.error(`posetalk: ${error.message}`);
  }
}
