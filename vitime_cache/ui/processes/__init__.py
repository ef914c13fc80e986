"""What runs beside the pages' process: the model, and builds."""
