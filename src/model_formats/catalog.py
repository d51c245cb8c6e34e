"""The sentences about model files that clients may get, by code. Parts that fill their gaps are checked (`sentences`).

A gap `{name:kind}` is filled by the child, in one of the kinds of `sentences.KINDS`; `{library:installed}` by the
server, with the version of that library here. `{@field}` is the name of a field, as in `domain.error_text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_KERAS: Final = "Save the whole model with model.save('model.keras')."
_TORCH: Final = "torch.jit.trace(model.eval(), torch.zeros(1, n_features)).save('model.pt')"
_SKLEARN: Final = "Save the fitted estimator itself with joblib.dump(model, 'model.joblib'), or export it to ONNX."
_TRAIN_AGAIN: Final = (
    "Train it with scikit-learn {scikit_learn:installed}, or export it to ONNX with the version that it has."
)
_ZIP: Final = (
    "zip the folder that tf.saved_model.save or model.export wrote (saved_model.pb and variables/), "
    "without a password, and send that"
)

CLASS_WORDS: Final[Mapping[float, tuple[str, ...]]] = {
    1.0: ("buy", "long", "up", "bull", "bullish", "true", "yes"),
    0.0: ("hold", "flat", "keep", "neutral", "none", "wait", "false", "no"),
    -1.0: ("sell", "short", "down", "bear", "bearish"),
}
"""Names that a model may give to its classes for buy, neither and sell."""
_CLASSES: Final = "train with classes 0 and 1 (flat, long) or -1, 0 and 1 (sell, keep, buy); as words: " + "; ".join(
    ", ".join(words) for words in CLASS_WORDS.values()
)

_DECLARE: Final = "Declare {@outputKind}"

_ANY: Final = {
    "said": "In the words of the file or its library: {said:quote}.",
    "warned": "While it was loaded, the file or its library warned: {said:quote}.",
    "failed": "The model failed. In the words of the file or its library: {said:quote}.",
    "predict_fails": "The model fails to predict.",
    "needs_memory": "The model needs more memory than one model may use here; save a smaller one.",
    "needs_mebibytes": "The model needs more than the {mebibytes:number} MiB of memory that one may use.",
    "description_too_long": (
        "What the file says of itself, such as the names of its columns, takes {size:number} bytes; {most:number} are "
        "allowed. Train the model on fewer columns, or give them shorter names."
    ),
    "rows_and_shape": "The model returns {rows:number} rows with an array of shape {shape:shape}.",
    "not_finite": "The model's prediction for row {row:number} is not a finite number.",
    "fails_on_made_up_rows": (
        "The model was tried on {rows:number} made-up rows and failed on each kind of them, so it would fail in every "
        "backtest."
    ),
    "failed_on_some_made_up_rows": (
        "The model was tried on made-up rows and failed on some of them; it may fail on real ones."
    ),
    "failed_on_all_columns": (
        "The file does not say how many columns the model takes. It was tried on {rows:number} made-up rows of all "
        "{columns:number} feature columns and failed on each kind of them. Name the columns that it takes in "
        "{@featureColumns}."
    ),
}

_TENSORS: Final = {
    "input_shape": (
        "The model takes input of shape {shape:shape}; supported are (batch, features) and (batch, 1, features): one "
        "row of features a bar. Export a model of that shape; windows of bars can be given as features."
    ),
    "columns_given": "The model takes {count:number} columns and was given {given:number}.",
    "output_type": "The model returns {type:word} and not numbers; export one with a single numeric output.",
    "output_shape": (
        "The model returns an array of shape {shape:shape} for {rows:number} rows; supported are one number a row, or "
        "two or three class scores. Export a model with a single such output."
    ),
    "undeclared_1": (
        "The file does not say what its numbers mean: they are read as plain values, long while ≥ threshold. "
        f"{_DECLARE} (probability, binary_label, signed_label or value) to say it."
    ),
    "undeclared_2": (
        "The model predicts two numbers a bar and the file does not say what they mean: the larger one decides, the "
        f"second standing for long. {_DECLARE} probability if the second is P(class 1)."
    ),
    "undeclared_3": (
        "The model predicts three numbers a bar and the file does not say what they mean. "
        f"{_DECLARE} signed_label if they score sell, keep and buy, in that order."
    ),
    "neither_kind": (
        "{estimator:word} is neither a classifier nor a regressor: its numbers are read as plain values, long while ≥ "
        f"threshold. {_DECLARE} to say what they mean."
    ),
}

_KIND: Final = {
    "kind_undeclared_3": _TENSORS["undeclared_3"],
    "kind_of_two": (
        "{@outputKind} is {kind:kind}, and the model predicts 2 numbers a bar. Allowed: probability, binary_label."
    ),
    "kind_of_three": (
        "{@outputKind} is {kind:kind}, and the model predicts 3 numbers a bar. Allowed: signed_label (sell, keep, buy, "
        "in that order)."
    ),
    "kind_of_classifier": (
        "{@outputKind} is {kind:kind}, and the model is a classifier. Allowed: probability, binary_label, signed_label."
    ),
    "kind_of_labels": (
        "{@outputKind} is {kind:kind}, and the model is a classifier without P(class 1). Allowed: binary_label, "
        "signed_label."
    ),
}

_LABELS: Final = {
    "classes_count": f"The model knows {{count:number}} classes; {_CLASSES}.",
    "classes_alike": f"Two of the model's classes ({{classes:labels}}) mean the same; {_CLASSES}.",
    "class_unknown": f"The model's class {{label:label}} is neither buy, sell nor hold; {_CLASSES}.",
    "class_foreign": "The model predicted {label:label}, which is none of its classes.",
    "classes_of_several": ("The model predicts several outputs at once; train one that predicts a single class a bar."),
}

_ONNX: Final = {
    "onnx_damaged": "The file is not an ONNX model; export it again.",
    "onnx_external": (
        "The model keeps its weights in a second file (.onnx.data), which a single upload cannot bring. Export one "
        "file: torch.onnx.export(…, external_data=False), or onnx.save(model, path, save_as_external_data=False)."
    ),
    "onnx_not_opened": (
        "onnxruntime {onnxruntime:installed} cannot open the model. If its operators are too new, export it with a "
        "lower opset."
    ),
    "onnx_outputs": ("The model has {count:number} outputs; export one with a single output, or a classifier."),
    "onnx_input_types": "The model takes {types:words}; supported is a table of floats or doubles.",
    "onnx_no_input": "The model takes no input; supported is a table of floats or doubles.",
    "onnx_inputs": ("The model has {count:number} inputs that are not single columns; export one with one input."),
    "onnx_fails": "The model fails to predict; check it with onnxruntime where it was made.",
    "onnx_labels": "The model gives labels, and not which classes there are; export it with skl2onnx.",
}

_KERAS_AND_TENSORFLOW: Final = {
    "keras_layers": "The model's layers cannot be run here; use ordinary ones, or export it to ONNX.",
    "keras_no_input": (
        "The model does not say what it takes in: give it an Input layer, or call it once on some rows, and save it "
        "again."
    ),
    "keras_inputs": "The model has several inputs; build one that takes a single table of features.",
    "keras_weights": f"The file holds weights and no model to put them in. {_KERAS}",
    "keras_damaged": f"The file is not a Keras {{suffix:word}} file. {_KERAS}",
    "keras_code": (
        "The model has a Lambda layer or another piece of stored code, which is never run here. Replace it with an "
        "ordinary layer (Rescaling, Normalization, Activation), or export the model to ONNX."
    ),
    "keras_class": (
        'The model\'s description names "{name:word}", which is no part of a model that can be used here and may read '
        "files. Use ordinary layers, or export the model to ONNX."
    ),
    "keras_own_code": (
        "The model uses a layer or function of your own, whose code the file does not carry. Use Keras's own layers, "
        "or export the model to ONNX."
    ),
    "keras_not_loaded": f"Keras {{keras:installed}} cannot load the model. {_KERAS}",
    "hdf5_elsewhere": (
        "The HDF5 file refers to data outside itself (an external link, external storage or a virtual array), which is "
        f"never followed here. {_KERAS}"
    ),
    "hdf5_too_large": (
        "The arrays in the HDF5 file take more than {mebibytes:number} MiB, or more than {ratio:number} times the "
        f"file's own size. {_KERAS}"
    ),
    "graph_ports": ("The model has {inputs:number} inputs and {outputs:number} outputs; export one with one of each."),
    "graph_type": "The model takes numbers of type {type:word}; supported are f32, f64 and f16.",
    "graph_not_compiled": "OpenVINO cannot compile the model; export it with ordinary layers.",
    "tensorflow_not_read": (
        "OpenVINO cannot read the model as a TensorFlow graph. Send a frozen graph (.pb), or the zip of a SavedModel "
        "folder; export it again with ordinary layers."
    ),
    "tensorflow_no_weights": (
        "A saved_model.pb alone holds no weights: they are in the folder variables/ beside it. Zip the whole "
        "SavedModel folder and send that."
    ),
    "tensorflow_neither": (
        "The file is neither a frozen TensorFlow graph nor a zipped SavedModel. Export the model as one of those, or "
        "as .keras or ONNX under that name."
    ),
    "zip_none": f"The file is not a zip archive; {_ZIP}.",
    "zip_too_large": "The archive unpacks to more than {mebibytes:number} MiB.",
    "zip_damaged": f"The zip archive is damaged; {_ZIP}.",
    "zip_cut": f"The zip archive is cut off, damaged or has a comment; {_ZIP}.",
    "zip_members": f"The zip archive lists far too many files for a SavedModel; {_ZIP}.",
    "zip_graphs": f"The archive holds {{count:number}} files named saved_model.pb, expected one; {_ZIP}.",
    "zip_odd_member": (f"{{name:word}} in the archive is a link, encrypted, repeated or oddly compressed; {_ZIP}."),
}

_PYTORCH: Final = {
    "torch_not_loaded": f"torch {{torch:installed}} cannot load it; export again: {_TORCH}.",
    "torch_sequence": (
        "The model has layers that read sequences ({layers:words}); supported is a row of features a bar. Windows of "
        "bars can be given as features."
    ),
    "torch_fails": "The model fails to predict on rows of features.",
    "torch_outputs": "The model returns several things; export one that returns a single tensor.",
    "torch_damaged": f"The file is damaged; export it again: {_TORCH}.",
    "torch_pickled": (
        "The file holds a pickled module, which needs your own classes and can run any code. Where those are, export "
        f"it as TorchScript: {_TORCH}."
    ),
    "torch_no_script": f"The file is not a TorchScript model. Export one: {_TORCH}.",
    "torch_state_dict": (
        "The file holds a state_dict: weights without the model they belong to. Load it into your model and export "
        f"that: {_TORCH}."
    ),
    "torch_other": (
        "The file holds a {type:word} without the model it belongs to. Load it into your model and export that: "
        f"{_TORCH}."
    ),
}

_PICKLES: Final = {
    "pickle_nothing": f"The file holds nothing that can be used as a model. {_SKLEARN}",
    "pickle_class": f"The file holds the class {{name:word}} itself and no fitted model. {_SKLEARN}",
    "pickle_no_predict": (f"The file holds a {{type:word}}, no fitted model with a predict method. {_SKLEARN}"),
    "pickle_other_version": (
        "The file was made with another version of its libraries and does not load with scikit-learn "
        "{scikit_learn:installed}. Load it where it was made and save it again with that version, or export it to "
        "ONNX."
    ),
    "pickle_module": (
        'The file needs the Python module "{name:word}", which is not here: a pickle does not carry the code of its '
        "classes. Use estimators of scikit-learn, xgboost or lightgbm, or export it to ONNX."
    ),
    "pickle_attribute": (
        "The file refers to a class or function that is not here: one of your own script, or of another version of its "
        "library (scikit-learn here is {scikit_learn:installed}). Use the library's own estimators, saved with this "
        "version, or export the model to ONNX."
    ),
    "pickle_damaged": f"The file is not a pickle or joblib file that can be read. {_SKLEARN}",
    "pickle_pyarrow": (
        "The file holds pandas data in pyarrow, which is not here. Give the estimator lists and numpy arrays instead "
        "(list(X.columns) for X.columns), fit it and save it again."
    ),
    "not_fitted": "The {estimator:word} in the file is not fitted: call fit before saving it.",
    "no_classes": f"The {{estimator:word}} does not say which classes it knows. {_SKLEARN}",
    "estimator_fails": (
        "The {estimator:word} fails to predict. It may have been saved with another version of its library, or be "
        "fitted on other columns: save it again, or export it to ONNX."
    ),
    "numbers_a_bar": ("The model predicts {shape:shape} numbers a bar; train one that predicts a single number."),
    "no_estimator": "{estimator:word} is not a scikit-learn estimator; only its predict method is used.",
    "version_note": (
        "The model was saved with scikit-learn {made:word} and loaded with {scikit_learn:installed}: its predictions "
        "may differ. Save it again with this version to be sure."
    ),
    "saved_with": "(Saved with scikit-learn {made:word}; here is {scikit_learn:installed}.)",
    "counts_in_leaves": (
        "The {estimator:word} in the file was saved by scikit-learn before 1.4 and would give wrong probabilities "
        f"here. {_TRAIN_AGAIN}"
    ),
    "samme_r": (
        "The {estimator:word} in the file was trained with the algorithm SAMME.R, which scikit-learn "
        f"{{scikit_learn:installed}} does not know and would evaluate wrongly. {_TRAIN_AGAIN}"
    ),
}

CATALOG: Final[Mapping[str, str]] = MappingProxyType(
    _ANY | _TENSORS | _KIND | _LABELS | _ONNX | _KERAS_AND_TENSORFLOW | _PYTORCH | _PICKLES
)
"""The template of each code."""

ASKS_FOR_KIND: Final = frozenset({"undeclared_1", "undeclared_2", "undeclared_3", "neither_kind"})
"""Codes of warnings that ask for outputKind."""

OUTPUT_KIND: Final = frozenset(_KIND)
"""Codes that blame what the user declared as outputKind; all others blame the model file."""
