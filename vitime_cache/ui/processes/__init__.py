"""Work outside the pages' process: the model, and builds."""
