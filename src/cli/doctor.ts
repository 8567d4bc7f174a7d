export async function doctor(_json: boolean): Promise<{ text: string; isReady: boolean }> {
  return { text: 'todo', isReady: true };
}
