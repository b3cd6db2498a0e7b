"""TensorFlow's SavedModel folders."""

SUFFIXES = ()
FOLDER_HOLDS = "saved_model.pb"
FRAMEWORK = "tensorflow"
