//! AlexNet for decibel spectrograms, built on the SpeechLens graph.
