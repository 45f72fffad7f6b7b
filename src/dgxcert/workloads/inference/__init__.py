"""How fast are prefill and decode?"""
