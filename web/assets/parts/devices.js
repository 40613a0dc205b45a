// The person's own camera and microphone: asked for, tested, switched, turned off – and in which plain way they fail.
const VIDEO = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 24, max: 30 }, facingMode: "user" };
const PROBLEMS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
  AbortError: "busy",
};
const LOUD_ENOUGH = 2;

export class Devices {
  // `changed()` is called whenever a track or a problem is another than before; `level(0..5)` while we listen.
  constructor(changed, level) {
    this.changed = changed;
    this.level = level;
    this.tracks = { audio: null, video: null };
    this.problems = { audio: null, video: null };
    this.heard = false;
    this.started = false;
    this.muted = false;
    this.cameraOff = false;
    this.chosen = {};
  }

  async allowedBefore() {
    try {
      const states = await Promise.all(["camera", "microphone"].map((name) => navigator.permissions.query({ name })));
      return states.every(({ state }) => state === "granted");
    } catch {
      return false;
    }
  }

  async start() {
    this.started = true;
    if (!navigator.mediaDevices) {
      this.problems = { audio: "insecure", video: "insecure" };
      this.changed();
      return;
    }
    try {
      this.take(await navigator.mediaDevices.getUserMedia({ audio: this.wish("audio"), video: this.wish("video") }));
    } catch {
      // One of them fails both: ask for each alone, so that the other still works.
      await Promise.all([this.open("audio"), this.open("video")]);
    }
    this.changed();
  }

  async open(kind) {
    try {
      this.take(await navigator.mediaDevices.getUserMedia({ [kind]: this.wish(kind) }));
    } catch (error) {
      this.tracks[kind] = null;
      this.problems[kind] = PROBLEMS[error.name] ?? "unknown";
    }
  }

  async choose(kind, deviceId) {
    this.chosen[kind] = deviceId;
    this.tracks[kind]?.stop();
    await this.open(kind);
    this.changed();
  }

  wish(kind) {
    const deviceId = this.chosen[kind] && { deviceId: { exact: this.chosen[kind] } };
    return kind === "video" ? { ...VIDEO, ...deviceId } : (deviceId ?? true);
  }

  take(stream) {
    for (const track of stream.getTracks()) {
      this.tracks[track.kind]?.stop();
      this.tracks[track.kind] = track;
      this.problems[track.kind] = null;
      track.addEventListener("ended", () => {
        if (this.tracks[track.kind] !== track) return;
        this.tracks[track.kind] = null;
        this.problems[track.kind] = "lost";
        this.changed();
      });
      if (track.kind === "audio") {
        track.enabled = !this.muted;
        this.listen(track);
      }
    }
  }

  mute(muted) {
    this.muted = muted;
    if (this.tracks.audio) this.tracks.audio.enabled = !muted;
    this.changed();
  }

  // Off means off: the track is stopped, so that the lamp beside the lens goes out.
  async hide(off) {
    this.cameraOff = off;
    if (off) {
      this.tracks.video?.stop();
      this.tracks.video = null;
    } else {
      await this.open("video");
    }
    this.changed();
  }

  // What the others get.
  sending() {
    return { camera: Boolean(this.tracks.video), microphone: Boolean(this.tracks.audio) && !this.muted };
  }

  async list(kind) {
    const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    return all.filter((device) => device.kind === kind && device.deviceId && device.label);
  }

  listen(track) {
    this.sound ??= new AudioContext();
    this.source?.disconnect();
    this.source = this.sound.createMediaStreamSource(new MediaStream([track]));
    const analyser = this.sound.createAnalyser();
    analyser.fftSize = 512;
    this.source.connect(analyser);
    const wave = new Uint8Array(analyser.fftSize);
    const look = () => {
      if (this.tracks.audio !== track) return;
      analyser.getByteTimeDomainData(wave);
      const loudest = wave.reduce((most, value) => Math.max(most, Math.abs(value - 128)), 0);
      const level = this.muted ? 0 : Math.min(5, Math.round(Math.sqrt(loudest / 128) * 7));
      this.level(level);
      if (!this.heard && level >= LOUD_ENOUGH) {
        this.heard = true;
        this.changed();
      }
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }

  // A short, soft sound in the person's own loudspeaker. After a tap the browser lets us.
  ding() {
    this.sound ??= new AudioContext();
    this.sound.resume();
    const at = this.sound.currentTime;
    for (const [index, pitch] of [523, 659].entries()) {
      const tone = this.sound.createOscillator();
      const loudness = this.sound.createGain();
      tone.frequency.value = pitch;
      loudness.gain.setValueAtTime(0.25, at + index * 0.35);
      loudness.gain.exponentialRampToValueAtTime(0.001, at + index * 0.35 + 0.6);
      tone.connect(loudness).connect(this.sound.destination);
      tone.start(at + index * 0.35);
      tone.stop(at + index * 0.35 + 0.6);
    }
  }
}
