"""The optimizers that compare.py times beside ours, and their options where ours have a variant.

Each is made with the options that mean what ours mean (docs of step_bench: variants), so that both do the same work:
constant step size scaled by RMS(p), clipping at 1, weights 1 - t^-0.8, no weight decay. Where a package has an option that ours lacks,
it gets the faster choice. adafactor8bit always reads the parameters for their RMS, as our `fresh` does.
"""
import importlib.util
import logging

LR = 1e-4
PLAIN = ("adafactor8bit", "torch", "torch_foreach", "transformers", "adamw")
LABELS = {
    "torch": "torch Adafactor",
    "torch_foreach": "torch Adafactor, foreach",
    "transformers": "transformers Adafactor",
    "adamw": "AdamW, fused",
    "adafactor8bit": "adafactor8bit",
}

# Ours, storage al8 in blocks of 2048, on the left: cuda/api/options.h and variants() of steps.cpp.
_SAME = dict(lr=LR, relative_step=False, scale_parameter=True, d=1.0, eps=(1e-30, 1e-3), beta2_decay=-0.8,
             v_quant_type="al8", block_size=2048)
# Momentum is bias-corrected as ours is. No limiter in ours, so none there. A cached projection is the faster choice there;
# ours draws its entries anew.
_MOMENTUM = dict(beta1=0.9, m_quant_type="uf4", m_block_size=128, bias_correction=True)
_APOLLO = dict(apollo_update_proj_gap=200, apollo_scale_type="channel", apollo_scale=1.0, apollo_scale_front=True,
               apollo_eps=1e-6, apollo_factorize=False, apollo_cache_proj=True, enable_fira_for_apollo=False)
ADAFACTOR8BIT = {
    "carried": {},
    "fresh": {},
    "momentum": _MOMENTUM,
    "came": dict(beta3=0.999, eps_came=1e-8, c_quant_type="al8", **_MOMENTUM),
    "full": dict(factored=False),
    "apollo1": dict(apollo_rank=1, **_APOLLO),
    "apollo16": dict(apollo_rank=16, **_APOLLO),
    "apollo256": dict(apollo_rank=256, **_MOMENTUM, **_APOLLO),
}


class Unavailable(Exception):
    """A rival that cannot run here; the text says why."""


class Rivals:
    """Makes optimizers by name. `extension`: adafactor8bit's CUDA module, built elsewhere."""

    def __init__(self, torch, extension=None):
        self.torch = torch
        self.extension = extension
        self.ready = {}  # name -> class, or why not

    def versions(self):
        found = {"torch": self.torch.__version__}
        for name in ("transformers", "adafactor8bit"):
            try:
                found[name] = importlib.import_module(name).__version__
            except Exception:  # any reason: it is not there
                found[name] = None
        return found

    def make(self, name, parameters, variant):
        """An optimizer of `parameters`. Throws Unavailable."""
        if name not in self.ready:
            try:
                self.ready[name] = self._find(name)
            except Exception as error:
                self.ready[name] = Unavailable(f"{type(error).__name__}: {error}")
        found = self.ready[name]
        if isinstance(found, Unavailable):
            raise found
        return found(parameters, **self._options(name, variant))

    def _options(self, name, variant):
        if name == "adafactor8bit":
            return {**_SAME, **ADAFACTOR8BIT[variant]}
        return {
            "torch": dict(lr=LR, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0, foreach=False),
            "torch_foreach": dict(lr=LR, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0, foreach=True),
            "transformers": dict(lr=LR, relative_step=False, scale_parameter=True, clip_threshold=1.0, decay_rate=-0.8),
            "adamw": dict(lr=LR, weight_decay=0.0, fused=True),
        }[name]

    def _find(self, name):
        if name in ("torch", "torch_foreach"):
            return self.torch.optim.Adafactor
        if name == "adamw":
            return self.torch.optim.AdamW
        if name == "transformers":
            try:
                from transformers.optimization import Adafactor
            except ImportError:
                from transformers import Adafactor
            return Adafactor
        return self._adafactor8bit()

    def _adafactor8bit(self):
        from adafactor8bit import optimizer
        if self.extension:
            spec = importlib.util.spec_from_file_location("adafactor8bit_cuda", self.extension)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            optimizer.load = lambda **_: module  # in the place of its build at run time
        if self.torch.cuda.is_available():
            said = []
            handler = logging.Handler()
            handler.emit = lambda record: said.append(record.getMessage())
            optimizer.logger.addHandler(handler)
            if not optimizer._load_cuda_module(True):  # or it would go on, slowly, without its kernels
                raise RuntimeError("its CUDA extension: " + " ".join(" ".join(said).split())[:600])
            optimizer.logger.removeHandler(handler)
        return optimizer.Adafactor8Bit
