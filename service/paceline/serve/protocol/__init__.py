"""HTTP/1.1 as the worker and the management port both speak it: uvicorn's protocol with limits in front."""
