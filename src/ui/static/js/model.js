// A model file: what it was trained on is asked first, because a backtest on its own training data proves nothing.

import { html, useState } from "../vendor/preact-htm.mjs";
import { listModels, uploadModel } from "./api.js";
import { ErrorNotice, Field, Progress, Skeleton, useLoad } from "./components.js";
import { DropZone } from "./dropzone.js";
import { ParameterField } from "./form.js";
import { formatBytes, formatCounted, formatDay } from "./format.js";
import { announce } from "./shell.js";

const EXTENSIONS = ".pkl,.joblib,.onnx,.h5,.keras,.pb,.zip,.pt,.pth";
const DECLARED = ["model_path", "trained_from", "trained_to", "label_horizon"];

function Training({ training, onChange, isAsked }) {
  return html`<fieldset class="step">
    <legend class="legend">1. Until when was it trained?</legend>
    <p class="help">
      The last day of the bars that the model has seen. Bars up to then are shown apart: only those after it say anything.
    </p>
    <div class="row training">
      <input
        id="trained-to"
        class="date"
        type="date"
        aria-label="Trained until"
        value=${training.to}
        disabled=${training.isUnknown}
        onInput=${(event) => onChange({ ...training, to: event.currentTarget.value })}
      />
      <label class="check">
        <input
          type="checkbox"
          checked=${training.isUnknown}
          onChange=${(event) => onChange({ ...training, isUnknown: event.currentTarget.checked })}
        />
        <span>I do not know</span>
      </label>
    </div>
    ${training.isUnknown && html`<p class="help">The verdict will say that the training window is unknown.</p>`}
    ${isAsked &&
    html`<details>
      <summary>More about the training</summary>
      <div class="form-grid">
        <${Field} id="trained-from" label="Trained from" isOptional=${true} help="First day of those bars.">
          <input
            id="trained-from"
            type="date"
            value=${training.from}
            onInput=${(event) => onChange({ ...training, from: event.currentTarget.value })}
          />
        <//>
        <${Field} id="label-horizon" label="Label horizon" unit="bars" isOptional=${true} help="How far a label looks ahead.">
          <input
            id="label-horizon"
            inputmode="numeric"
            value=${training.horizon}
            placeholder="1"
            onInput=${(event) => onChange({ ...training, horizon: event.currentTarget.value })}
          />
        <//>
      </div>
    </details>`}
  </fieldset>`;
}

function describe(file) {
  const { model } = file;
  const until = file.trained_to ? `trained until ${formatDay(file.trained_to)}` : "training window unknown";
  if (!model) return `${until} · ${formatBytes(file.file_size)}`;
  const columns = model.n_features === null ? null : formatCounted(model.n_features, "feature");
  return [model.format, columns, until, formatBytes(file.file_size)].filter(Boolean).join(" · ");
}

function Stored({ files, chosen, onChoose }) {
  return html`<fieldset class="stored">
    <legend class="legend">Your model files</legend>
    <div class="stored-list">
      ${files.map(
        (file) => html`<label class="check stored-model" key=${file.filename}>
          <input
            type="radio"
            name="model"
            checked=${file.filename === chosen}
            onChange=${() => onChoose(file.filename)}
          />
          <span class="clip-lines">
            <strong>${file.model_name}</strong>
            <span class="sub">${describe(file)}</span>
            ${file.filename === chosen &&
            file.model?.warnings.map((text) => html`<span class="sub loss" key=${text}>${text}</span>`)}
          </span>
        </label>`,
      )}
    </div>
  </fieldset>`;
}

export function ModelForm({ user, values, onChange, strategy, errors }) {
  const [training, setTraining] = useState({ to: "", from: "", horizon: "", isUnknown: false });
  const [upload, setUpload] = useState({ file: null, share: null, error: null });
  const [stored, reload] = useLoad((signal) => listModels(user, signal), [user]);
  const isAnswered = training.isUnknown || training.to !== "";
  async function send(file) {
    setUpload({ file, share: 0, error: null });
    announce(`Uploading ${file.name}`);
    try {
      const kept = await uploadModel(
        {
          user_id: user,
          trained_to: training.isUnknown ? "" : training.to,
          trained_from: training.isUnknown ? "" : training.from,
          label_horizon: training.horizon,
          file,
        },
        { onProgress: (done, total) => setUpload({ file, share: done / total, error: null }) },
      );
      setUpload({ file: null, share: null, error: null });
      onChange("model_path", kept.filename);
      announce(`${kept.model_name} is stored and chosen`);
      reload();
    } catch (error) {
      setUpload({ file, share: null, error });
    }
  }
  const isSending = upload.share !== null;
  const others = strategy.parameters.filter(({ name }) => !DECLARED.includes(name));
  return html`<div class="stack">
    <${Training} training=${training} onChange=${setTraining} isAsked=${isAnswered} />
    <fieldset class="step">
      <legend class="legend">2. The model file</legend>
      <${DropZone}
        id="model-file"
        label="Drop a model file here, or choose one"
        hint=${isAnswered ? EXTENSIONS.replaceAll(",", " ") : "Answer the question above first."}
        accept=${EXTENSIONS}
        file=${upload.file}
        isDisabled=${!isAnswered || isSending}
        onFile=${send}
      />
      ${isSending &&
      html`<${Progress} share=${upload.share < 1 ? upload.share : null} label="Upload" />
        <p class="help">${upload.share < 1 ? "Uploading …" : "The sandbox opens the file …"}</p>`}
      ${upload.error && html`<${ErrorNotice} error=${upload.error} title="The file was not stored" />`}
      ${stored.error && html`<${ErrorNotice} error=${stored.error} onRetry=${reload} title="Your models cannot be shown" />`}
      ${!stored.data && stored.isLoading && html`<${Skeleton} lines=${2} label="Loading your models" />`}
      ${stored.data?.length > 0 &&
      html`<${Stored} files=${stored.data} chosen=${values.model_path} onChoose=${(name) => onChange("model_path", name)} />`}
      ${errors.model_path && html`<p class="field-error">${errors.model_path}</p>`}
    </fieldset>
    <details>
      <summary>How its numbers are read</summary>
      <div class="form-grid">
        ${others.map(
          (parameter) =>
            html`<${ParameterField}
              key=${parameter.name}
              prefix="strategy"
              parameter=${parameter}
              value=${values[parameter.name]}
              onChange=${(text) => onChange(parameter.name, text)}
              error=${errors[parameter.name]}
            />`,
        )}
      </div>
    </details>
  </div>`;
}
