// Vega's modules, each as the distribution ships it, keyed by name: run when first required.
const modules = (() => {
  const makers = {}, made = {};
  const require = (name) => {
    if (!(name in made)) {
      const module = { exports: {} };
      made[name] = module.exports;  // before it runs: modules may refer to each other
      makers[name](module.exports, require, module);
      made[name] = module.exports;
    }
    return made[name];
  };
  return { define: (name, maker) => { makers[name] = maker; }, require };
})();
