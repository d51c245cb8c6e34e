// A place to drop a file on, or to choose one by keyboard.

import { html, useRef, useState } from "../vendor/preact-htm.mjs";
import { formatBytes } from "./format.js";

export function DropZone({ id, label, hint, accept, file, onFile, isDisabled }) {
  const [isOver, setOver] = useState(false);
  const input = useRef(null);
  function onDrop(event) {
    event.preventDefault();
    setOver(false);
    if (!isDisabled && event.dataTransfer.files.length) onFile(event.dataTransfer.files[0]);
  }
  return html`<label
    class=${`dropzone${isOver ? " is-over" : ""}${isDisabled ? " is-disabled" : ""}`}
    for=${id}
    onDragOver=${(event) => {
      event.preventDefault();
      if (!isDisabled) setOver(true);
    }}
    onDragLeave=${() => setOver(false)}
    onDrop=${onDrop}
  >
    <input
      id=${id}
      ref=${input}
      class="visually-hidden"
      type="file"
      accept=${accept}
      disabled=${isDisabled}
      aria-describedby=${`${id}-hint`}
      onChange=${(event) => {
        const [chosen] = event.currentTarget.files;
        event.currentTarget.value = ""; // so that the same file can be chosen again
        if (chosen) onFile(chosen);
      }}
    />
    <span class="dropzone-title">${file ? file.name : label}</span>
    <span class="small muted" id=${`${id}-hint`}>${file ? formatBytes(file.size) : hint}</span>
  </label>`;
}
