// The connection to one other person, by "perfect negotiation": the newcomer offers and never yields, the other does.
const PATIENCE = 4_000;
const LONG = 20_000;

export class Peer {
  // `send(content)` hands a description or candidate to the other; `tracks()` gives our own; `changed()` says to look again.
  constructor({ newcomer, iceServers, send, tracks, changed }) {
    this.newcomer = newcomer;
    this.send = send;
    this.tracks = tracks;
    this.changed = changed;
    this.stream = new MediaStream();
    this.offering = false;
    this.deaf = false;
    this.late = false;
    this.pc = new RTCPeerConnection({ iceServers });
    this.pc.onnegotiationneeded = () => this.offer();
    this.pc.onicecandidate = ({ candidate }) => candidate && this.send({ candidate });
    this.pc.onconnectionstatechange = () => this.watch();
    this.pc.ontrack = ({ track }) => {
      this.stream.addTrack(track);
      changed();
    };
    // Without tracks of our own nothing would be negotiated and nobody would see anybody, so both kinds are always asked for.
    if (newcomer) {
      for (const kind of ["audio", "video"]) {
        const track = tracks()[kind];
        this.pc.addTransceiver(track ?? kind, { direction: track ? "sendrecv" : "recvonly" });
      }
    }
    this.waitLong();
  }

  get state() {
    const state = this.pc.connectionState;
    if (state === "connected") return "connected";
    if (this.late) return "late";
    return state === "disconnected" || state === "failed" || this.was ? "again" : "new";
  }

  async offer() {
    try {
      this.offering = true;
      await this.pc.setLocalDescription();
      this.send({ description: this.pc.localDescription });
    } finally {
      this.offering = false;
    }
  }

  async receive({ description, candidate }) {
    if (description) {
      const collision = description.type === "offer" && (this.offering || this.pc.signalingState !== "stable");
      this.deaf = this.newcomer && collision;
      if (this.deaf) return;
      await this.pc.setRemoteDescription(description);
      if (description.type !== "offer") return;
      await this.attach();
      await this.pc.setLocalDescription();
      this.send({ description: this.pc.localDescription });
    } else if (candidate) {
      try {
        await this.pc.addIceCandidate(candidate);
      } catch (error) {
        if (!this.deaf) throw error;
      }
    }
  }

  // Our own tracks as they are now, in the places the connection has for them.
  async attach() {
    for (const transceiver of this.pc.getTransceivers()) {
      const track = this.tracks()[transceiver.receiver.track.kind];
      if (transceiver.sender.track !== track) await transceiver.sender.replaceTrack(track);
      if (track && transceiver.direction === "recvonly") transceiver.direction = "sendrecv";
    }
  }

  // The way to the server is open again: fresh passwords for the relay, and what may have been lost is said once more.
  resume(iceServers) {
    this.pc.setConfiguration({ iceServers });
    if (this.pc.signalingState === "have-local-offer") this.send({ description: this.pc.localDescription });
  }

  watch() {
    clearTimeout(this.timer);
    const state = this.pc.connectionState;
    if (state === "connected") {
      this.was = true;
      this.late = false;
      clearTimeout(this.long);
    } else {
      this.waitLong();
    }
    // "failed" comes only after some 18 s; most breaks are over in two or three.
    if (state === "disconnected") this.timer = setTimeout(() => this.pc.restartIce(), PATIENCE);
    if (state === "failed") this.pc.restartIce();
    this.changed();
  }

  // An expired relay password, for one, leaves the state at "new" for ever.
  waitLong() {
    clearTimeout(this.long);
    this.long = setTimeout(() => {
      this.late = true;
      this.changed();
    }, LONG);
  }

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.long);
    this.pc.onconnectionstatechange = this.pc.ontrack = this.pc.onnegotiationneeded = null;
    this.pc.close();
  }
}
