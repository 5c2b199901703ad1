// A microphone whose clock is off: of `every` samples one is said twice (step 1) or left out (-1).
(every, step) => {
  const SIZE = 480;
  const devices = navigator.mediaDevices;
  const open = devices.getUserMedia.bind(devices);

  async function pump(reader, writer) {
    const kept = [];
    let seen = 0;
    let sent = 0;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const data = new Float32Array(value.numberOfFrames);
      value.copyTo(data, { planeIndex: 0, format: "f32-planar" });
      const { sampleRate } = value;
      value.close();
      for (const sample of data) {
        seen += 1;
        const odd = seen % every === 0;
        if (odd && step < 0) continue;
        kept.push(sample);
        if (odd && step > 0) kept.push(sample);
      }
      while (kept.length >= SIZE) {
        const timestamp = Math.round((sent / sampleRate) * 1e6);
        sent += SIZE;
        await writer.write(
          new AudioData({
            format: "f32-planar",
            sampleRate,
            numberOfFrames: SIZE,
            numberOfChannels: 1,
            timestamp,
            data: Float32Array.from(kept.splice(0, SIZE)),
          }),
        );
      }
    }
  }

  devices.getUserMedia = async (wanted) => {
    const [track] = (await open(wanted)).getAudioTracks();
    const generator = new MediaStreamTrackGenerator({ kind: "audio" });
    const { readable } = new MediaStreamTrackProcessor({ track });
    void pump(readable.getReader(), generator.writable.getWriter());
    return new MediaStream([generator]);
  };
}
