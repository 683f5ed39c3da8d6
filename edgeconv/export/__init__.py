"""Turn a Keras model into files for devices, each proved equal before it is put in place."""
