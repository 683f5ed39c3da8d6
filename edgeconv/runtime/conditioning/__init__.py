"""What a source measures, made the model's signal: channels, units, times, rate, derived channels."""
