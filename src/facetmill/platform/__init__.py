"""The parts around the models: where things lie, the switches of the tools, and the embedded servers."""
