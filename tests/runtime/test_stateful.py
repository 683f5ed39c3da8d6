import numpy as np
import pytest

from edgeconv.runtime import ArtefactError, Classifier, MissingFileError, Stepper


@pytest.fixture(scope="session")
def folder(models):
    return models / "forms"


@pytest.mark.parametrize("name", ["stateful.onnx", "stateful.hop1.onnx", "stateful.hop5.onnx", "stateful.hop15.onnx"])
@pytest.mark.parametrize("streams", [1, 3])
def test_steps_give_the_windowed_answers_once_the_first_window_is_full(folder, name, streams):
    stepper = Stepper.load(folder / name)
    hop, window = stepper.spec.hop, stepper.spec.window
    recordings = np.random.default_rng(0).normal(size=(streams, 60, 2)).astype(np.float32)
    expected = np.stack([Classifier.load(folder / "model.onnx").score(recording, hop) for recording in recordings])
    assert stepper.lead == -window % hop
    assert stepper.warm_up == -(-window // hop) - 1
    # What is in front of the first window does not matter.
    padded = np.concatenate([np.full((streams, stepper.lead, 2), 99, np.float32), recordings], axis=1)
    state = stepper.start(streams)
    assert sum(array.nbytes for array in state) == streams * stepper.state_bytes
    got = []
    for at in range(0, padded.shape[1] - hop + 1, hop):
        answer, state = stepper.step(padded[:, at : at + hop], state)
        got.append(answer)
    # float32 sums of a network of 63 weights in two orders
    np.testing.assert_allclose(np.stack(got[stepper.warm_up :], axis=1), expected, atol=1e-6, rtol=0)


def test_a_folder_means_its_stateful_onnx(folder, tmp_path):
    assert Stepper.load(folder).spec.hop == 4
    with pytest.raises(MissingFileError, match=r"stateful.onnx is not there"):
        Stepper.load(tmp_path)


def test_a_file_of_another_form_is_refused(folder):
    with pytest.raises(ArtefactError, match=r"model.onnx disagrees with its spec: .*samples \[streams, 4, 2\]"):
        Stepper.load(folder / "model.onnx")
    with pytest.raises(ArtefactError, match=r"stateful.onnx disagrees with its spec"):
        Classifier.load(folder / "stateful.onnx")


@pytest.mark.parametrize(
    ("whole", "broken"),
    [(b'{"warm_up"', b'["warm_up"'), (b'"warm_up": 2', b'"warm_up": x'), (b'"warm_up"', b'"harm_up"'),
     (b'"tensors"', b'"senators"'[:9]), (b'"shape": ["streams", 3', b'"shape": ["streams", y')],
)  # fmt: skip
def test_a_broken_state_entry_is_an_artefact_error(folder, tmp_path, whole, broken):
    model = (folder / "stateful.onnx").read_bytes()
    assert model.count(whole) >= 1
    (tmp_path / "stateful.onnx").write_bytes(model.replace(whole, broken))
    with pytest.raises(ArtefactError, match=r"stateful.onnx: the metadata entry 'edgeconv.state' is broken"):
        Stepper.load(tmp_path)
