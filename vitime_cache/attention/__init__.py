"""Reads attention from the model as it runs, pools it to time and lag, and labels it as one Dataset."""
