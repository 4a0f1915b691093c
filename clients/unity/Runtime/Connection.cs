// The socket: connects, reads, sends, comes back. .NET only; take events on whatever thread you like.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Posetalk
{
    public enum EventKind { Hello, Opened, Frame, Sound, Faces, Interrupted, Style, Error, Lost, End, Closed }

    public sealed class Event
    {
        public EventKind Kind;
        /// Frame, Sound and Faces.
        public Message Message;
        /// Hello and the other texts, as they came.
        public Dictionary<string, object> Text;
        /// Error: the protocol's code, and a sentence.
        public string Code = "", Sentence = "";
    }

    public sealed class Connection : IDisposable
    {
        const int MostWaiting = 4000;
        const int LongestMessage = 1 << 20;
        const double FirstWait = 0.25, LongestWait = 4;

        readonly Uri url;
        readonly string token;
        readonly CancellationTokenSource stop = new CancellationTokenSource();
        readonly ConcurrentQueue<Event> events = new ConcurrentQueue<Event>();
        readonly SemaphoreSlim sending = new SemaphoreSlim(1);
        ClientWebSocket socket;
        volatile bool greeted;
        volatile string set;
        volatile bool audio;
        int rate = Wire.SampleRate;
        int pushed;

        public Connection(string url, string set = "arkit52", bool audio = false, string token = null)
        {
            this.url = new Uri(url);
            this.set = set;
            this.audio = audio;
            this.token = token;
        }

        /// The channels of the set that was asked for, in the order of the values.
        public string[] Channels { get; private set; } = new string[0];

        public string Set { get { return set; } }

        public void Start()
        {
            Task.Run(Run);
        }

        public void Dispose()
        {
            stop.Cancel();
        }

        /// The next thing that happened, if any; does not wait.
        public bool TryTake(out Event taken)
        {
            return events.TryDequeue(out taken);
        }

        public void Subscribe(string newSet, bool withAudio)
        {
            set = newSet;
            audio = withAudio;
            Say("{\"type\":\"subscribe\",\"protocol\":" + Wire.Protocol + ",\"set\":" + Json.Quote(newSet) + ",\"audio\":" + (withAudio ? "true" : "false") + "}");
        }

        /// Has this sound spoken: mono, -1..1.
        public void Push(float[] samples, int sampleRate)
        {
            if (sampleRate != rate)
            {
                Say("{\"type\":\"audio_format\",\"sample_rate\":" + sampleRate + "}");
                rate = sampleRate;
            }
            int step = Math.Max(1, sampleRate / 2);
            for (int start = 0; start < samples.Length; start += step)
            {
                int count = Math.Min(step, samples.Length - start);
                Send(Wire.EncodeSound(samples, start, count, (uint)pushed++), WebSocketMessageType.Binary);
            }
        }

        /// Get a session of one's own: what is pushed here, and nobody else's. Wait for Opened.
        public void Open(string style, int seed)
        {
            Say("{\"type\":\"open\",\"protocol\":" + Wire.Protocol + ",\"pace\":\"live\",\"style\":" + Json.Quote(style) + ",\"seed\":" + seed + "}");
        }

        public void Interrupt()
        {
            Say("{\"type\":\"interrupt\"}");
        }

        public void Style(string name)
        {
            Say("{\"type\":\"style\",\"name\":" + Json.Quote(name) + "}");
        }

        /// Any other text message of the protocol; lost while there is no connection.
        public void Say(string json)
        {
            Send(Encoding.UTF8.GetBytes(json), WebSocketMessageType.Text);
        }

        async void Send(byte[] data, WebSocketMessageType type)
        {
            ClientWebSocket here = socket;
            if (!greeted || here == null)
                return;
            try
            {
                await sending.WaitAsync(stop.Token).ConfigureAwait(false);
                try
                {
                    await here.SendAsync(new ArraySegment<byte>(data), type, true, stop.Token).ConfigureAwait(false);
                }
                finally
                {
                    sending.Release();
                }
            }
            catch (Exception)
            {
                here.Abort(); // the reader notices, and says so
            }
        }

        async Task Run()
        {
            double wait = FirstWait;
            bool told = false; // that nobody answers
            while (!stop.IsCancellationRequested)
            {
                bool useful = true;
                using (socket = new ClientWebSocket())
                {
                    try
                    {
                        if (!string.IsNullOrEmpty(token))
                            socket.Options.SetRequestHeader("Authorization", "Bearer " + token);
                        await socket.ConnectAsync(url, stop.Token).ConfigureAwait(false);
                        await Read().ConfigureAwait(false);
                    }
                    catch (WireException error)
                    {
                        useful = false; // trying again would not help
                        Put(new Event { Kind = EventKind.Error, Code = error.Code, Sentence = error.Message });
                    }
                    catch (Exception error)
                    {
                        // Nobody there, or gone (told below): tried again.
                        if (!greeted && !told && !stop.IsCancellationRequested)
                            Put(new Event { Kind = EventKind.Error, Code = "connection", Sentence = "no connection to " + url + ": " + error.Message });
                        told = true;
                    }
                }
                if (greeted)
                {
                    wait = FirstWait;
                    told = false;
                    Put(new Event { Kind = EventKind.Lost });
                }
                greeted = false;
                rate = Wire.SampleRate;
                if (!useful)
                    return;
                try
                {
                    await Task.Delay(TimeSpan.FromSeconds(wait), stop.Token).ConfigureAwait(false);
                }
                catch (OperationCanceledException)
                {
                }
                wait = Math.Min(2 * wait, LongestWait);
            }
        }

        async Task Read()
        {
            var buffer = new byte[1 << 17];
            while (true)
            {
                int length = 0;
                WebSocketReceiveResult part;
                do
                {
                    if (length == buffer.Length)
                    {
                        if (length >= LongestMessage)
                            throw new WireException("length", "a message of more than 1 MiB");
                        Array.Resize(ref buffer, 2 * length);
                    }
                    var rest = new ArraySegment<byte>(buffer, length, buffer.Length - length);
                    part = await socket.ReceiveAsync(rest, stop.Token).ConfigureAwait(false);
                    length += part.Count;
                }
                while (!part.EndOfMessage);
                if (part.MessageType == WebSocketMessageType.Close)
                    return;
                if (part.MessageType == WebSocketMessageType.Binary)
                    TakeBinary(Wire.Decode(buffer, length));
                else
                    TakeText(Json.Message(Encoding.UTF8.GetString(buffer, 0, length)));
            }
        }

        void TakeBinary(Message message)
        {
            if (message.Type == Wire.Sound)
                Put(new Event { Kind = EventKind.Sound, Message = message });
            else if (message.Type == Wire.Faces)
                Put(new Event { Kind = EventKind.Faces, Message = message });
            else if (message.Set != null && message.Set == set)
                Put(new Event { Kind = EventKind.Frame, Message = message });
        }

        void TakeText(Dictionary<string, object> message)
        {
            var happened = new Event { Text = message };
            switch (Json.Text(message, "type"))
            {
                case "hello":
                    object channels, names = null;
                    if (message.TryGetValue("channels", out channels) && channels is Dictionary<string, object>)
                        ((Dictionary<string, object>)channels).TryGetValue(set, out names);
                    Channels = Json.Texts(names);
                    greeted = true;
                    happened.Kind = EventKind.Hello;
                    Put(happened);
                    Subscribe(set, audio);
                    return;
                case "opened":
                    happened.Kind = EventKind.Opened;
                    break;
                case "interrupted":
                    happened.Kind = EventKind.Interrupted;
                    break;
                case "style":
                    happened.Kind = EventKind.Style;
                    break;
                case "closed":
                    happened.Kind = EventKind.Closed;
                    break;
                case "end":
                    happened.Kind = EventKind.End;
                    break;
                case "error":
                    happened.Kind = EventKind.Error;
                    happened.Code = Json.Text(message, "code");
                    happened.Sentence = Json.Text(message, "message");
                    break;
                default:
                    return; // clock, pong, and what is newer than this client
            }
            Put(happened);
        }

        void Put(Event happened)
        {
            events.Enqueue(happened);
            Event oldest;
            while (events.Count > MostWaiting)
                events.TryDequeue(out oldest);
        }
    }
}
