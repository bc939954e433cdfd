"""How well the judge tells collapse from artistry: areas under the curve, false alarms, pictures."""
