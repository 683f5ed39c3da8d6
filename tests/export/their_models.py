"""Keras models as others make them: windows [40, 3] to 4 classes, with random weights."""

from edgeconv.evaluate.keras_model import import_keras

WINDOW, CHANNELS, CLASSES = 40, 3, 4
SAID = {
    "channels": [{"name": f"acc_{axis}", "unit": "g"} for axis in "xyz"],
    "sampling_rate_hz": 50,
    "hop": 20,
    "labels": list("abcd"),
}


def source(window=WINDOW):
    return import_keras().Input((window, CHANNELS))


def sequential():
    keras = import_keras()
    layers = keras.layers
    return keras.Sequential(
        [source(), layers.Conv1D(8, 3, activation="relu"), layers.GlobalMaxPooling1D(),
         layers.Dense(CLASSES, activation="softmax")]
    )  # fmt: skip


def compiled():
    model = sequential()
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def functional():
    keras = import_keras()
    layers, windows = keras.layers, source()
    value = layers.Conv1D(8, 3, activation="relu")(windows)
    value = layers.Add()([layers.Conv1D(8, 3)(value), layers.Cropping1D(1)(value)])
    return keras.Model(windows, layers.Dense(CLASSES, activation="softmax")(layers.GlobalAveragePooling1D()(value)))


def nested():
    keras = import_keras()
    layers, windows = keras.layers, source()
    inner = keras.Sequential(
        [source(), layers.Normalization(mean=[1.0, 2, 3], variance=[4.0, 1, 9]),
         layers.Conv1D(8, 3, activation="relu"), layers.MaxPooling1D(2)], name="inner",
    )  # fmt: skip
    value = layers.Flatten()(inner(windows))
    return keras.Model(windows, layers.Dense(CLASSES, activation="softmax")(value))


def shared():
    keras = import_keras()
    layers, windows = keras.layers, source()
    twice = layers.Conv1D(CHANNELS, 3, activation="tanh")
    value = layers.GlobalMaxPooling1D()(twice(twice(windows)))
    return keras.Model(windows, layers.Dense(CLASSES, activation="softmax")(value))


def free_window():
    keras = import_keras()
    layers, windows = keras.layers, source(None)
    value = layers.GlobalMaxPooling1D()(layers.Conv1D(8, 3, activation="relu")(windows))
    return keras.Model(windows, layers.Dense(CLASSES, activation="softmax")(value))


def several():
    keras = import_keras()
    layers, windows = keras.layers, source()
    value = layers.GlobalMaxPooling1D()(layers.Conv1D(8, 3, activation="relu")(windows))
    return keras.Model(
        windows, [layers.Dense(2, name="awake")(value), layers.Dense(CLASSES, activation="softmax", name="gait")(value)]
    )


def in_a_dictionary():
    model = functional()
    return import_keras().Model({"signal": model.inputs[0]}, {"gait": model.outputs[0]})


def logits_model(outputs=CLASSES, activation=None):
    keras = import_keras()
    layers = keras.layers
    return keras.Sequential([source(), layers.Conv1D(8, 3, activation="relu"), layers.GlobalMaxPooling1D(),
                             layers.Dense(outputs, activation=activation)])  # fmt: skip


def saved(model, path):
    model.save(path / "their.keras")
    return path / "their.keras"
