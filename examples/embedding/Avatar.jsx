// A React component: <Avatar src="http://localhost:8080" token="secret" />. visavis.js is a module of the
// server, or a copy of it beside your own, which a bundler that does not take addresses needs.
import { useEffect, useRef, useState } from "react";
import { connect } from "http://localhost:8080/visavis.js";

export function Avatar({ src, person, mic = true, token }) {
  const video = useRef(null);
  const [words, setWords] = useState("Connecting.");

  useEffect(() => {
    let avatar = null;
    let gone = false;
    connect({ src, person, mic, token })
      .then((made) => {
        avatar = made;
        if (gone) return avatar.close();
        video.current.srcObject = avatar.stream;
        setWords("Listening.");
        avatar.addEventListener("speaking", ({ detail }) => setWords(detail ? "Speaking." : "Listening."));
        avatar.addEventListener("error", ({ detail }) => setWords(detail.message));
      })
      .catch((error) => gone || setWords(error.message));
    return () => {
      gone = true;
      void avatar?.close();
    };
  }, [src, person, mic, token]);

  return (
    <figure>
      <video ref={video} autoPlay playsInline muted />
      <figcaption>{words}</figcaption>
    </figure>
  );
}
