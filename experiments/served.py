"""The file that MLflow runs to turn a registered passport into a model ("models from code"); nothing else imports it.

MLflow copies it into the model's folder and runs it there, alone: hence the absolute import.
"""

from wavetank.experiments.tracking import serve_passport

serve_passport()
