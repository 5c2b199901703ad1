// A microphone whose clock is off: of `every` samples one is said twice (step 1) or left out (-1).
(every, step) => {
  const devices = navigator.mediaDevices;
  const open = devices.getUserMedia.bind(devices);

  const kept = [];
  let sampleRate = 48000;

  async function listen(reader) {
    let seen = 0;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const data = new Float32Array(value.numberOfFrames);
      value.copyTo(data, { planeIndex: 0, format: "f32-planar" });
      sampleRate = value.sampleRate;
      value.close();
      for (const sample of data) {
        seen += 1;
        const odd = seen % every === 0;
        if (odd && step < 0) continue;
        kept.push(sample);
        if (odd && step > 0) kept.push(sample);
      }
    }
  }

  // Pieces leave by the clock that is off. Were they to leave with the machine's, as soon as there
  // is enough, they would keep its time and jump by ten milliseconds every fifty seconds.
  async function speak(writer) {
    const size = () => sampleRate / 100;
    while (kept.length < 4 * size()) await pause(5);
    const begin = performance.now();
    for (let number = 0; ; number += 1) {
      const due = begin + (10 * number) / (1 + step / every);
      while (performance.now() < due || kept.length < size()) await pause(1);
      await writer.write(
        new AudioData({
          format: "f32-planar",
          sampleRate,
          numberOfFrames: size(),
          numberOfChannels: 1,
          timestamp: number * 10000,
          data: Float32Array.from(kept.splice(0, size())),
        }),
      );
    }
  }

  function pause(milliseconds) {
    return new Promise((over) => setTimeout(over, milliseconds));
  }

  devices.getUserMedia = async (wanted) => {
    const [track] = (await open(wanted)).getAudioTracks();
    const generator = new MediaStreamTrackGenerator({ kind: "audio" });
    const { readable } = new MediaStreamTrackProcessor({ track });
    void listen(readable.getReader());
    void speak(generator.writable.getWriter());
    return new MediaStream([generator]);
  };
}
