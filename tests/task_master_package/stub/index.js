const missing = () => {
  throw new Error("This provider is not installed for the tests.");
};
export { missing as createClaudeCode, missing as createCodexCli, missing as createGeminiProvider };
